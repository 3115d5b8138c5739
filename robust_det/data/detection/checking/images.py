"""Looking at image files: can they be read, how large are they."""

from __future__ import annotations

import os
import warnings
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from enum import IntEnum
from typing import NamedTuple

from PIL import Image

from robust_det.core.errors import FileError, reason_of
from robust_det.core.progress import progress_bar
from robust_det.data.detection.checking.report import Report
from robust_det.data.images import bits_of, check_range, exif_turn, open_image, whole_image

__all__ = ["SUFFIXES", "Depth", "look", "other_size"]

SUFFIXES = (".jpg", ".jpeg", ".png", ".bmp", ".tif", ".tiff", ".webp")
_SWAPPING = (
    Image.Transpose.TRANSPOSE,
    Image.Transpose.ROTATE_270,
    Image.Transpose.TRANSVERSE,
    Image.Transpose.ROTATE_90,
)
# where PNGs may say how to turn them: in what Pillow has read before the pixels, and at their end
_BEFORE = {"exif", "Raw profile type exif", "XML:com.adobe.xmp"}
_BEHIND = (b"eXIf", b"Raw profile type", b"XML:com.adobe.xmp")
_END = 1 << 16  # bytes
_PAGED = ("TIFF", "PNG", "WEBP")
_DEEP, _DARK = 16, 16  # bits; levels of 255
# fewer are looked at before a bar could be read
_WORTH_A_BAR = 2000
_THREADS = 8


class Depth(IntEnum):
    """How closely images are looked at: by name, by header, or by decoding all pixels."""

    NAMES = 0
    HEADERS = 1
    PIXELS = 2


def look(
    paths: Sequence[str],
    label: str,
    depth: Depth = Depth.HEADERS,
    report: Report | None = None,
) -> list[tuple[int, int] | str]:
    """Return each image's width and height in pixels, as it is shown, or what is wrong with it.

    Args:
        paths: image files.
        label: shown at the progress bar.
        depth: ``PIXELS`` decodes them, which finds truncated files.
        report: images that are turned, or have more than 8 bits, are noted in it.
    """
    seen: list[tuple[int, int] | str] = []
    shown = len(paths) >= _WORTH_A_BAR
    # the wait is for the disk
    with (
        progress_bar(len(paths), f"check {label}", "images", shown) as bar,
        ThreadPoolExecutor(_THREADS) as pool,
    ):
        for path, image in zip(paths, pool.map(lambda path: _see(path, depth), paths), strict=True):
            seen.append(image.size)
            if report is not None:
                if image.bits > 8:
                    report.add("deep_image", f"{path} has {image.bits} bits")
                for kind in image.notes:
                    report.add(kind, path)
            bar.update()
    return seen


def other_size(path: str, size: tuple[int, int], annotated: tuple[int, int]) -> str:
    """Say that an image has another size than annotated, and why if that can be known.

    Args:
        path: of the image.
        size, annotated: width and height, of the image as it is shown, and as annotated.
    """
    text = "{} is {} x {}, annotated as {} x {}".format(path, *size, *annotated)
    if size == annotated[::-1] and "turned_image" in _see(path, Depth.HEADERS).notes:
        text += (
            ": the file's EXIF orientation turns it, and the boxes were drawn on it unturned; turn"
            " the boxes, or remove the orientation from the file"
        )
    return text


class _Seen(NamedTuple):
    """What is known of an image: its size or what is wrong, its bits, and kinds of findings."""

    size: tuple[int, int] | str
    bits: int = 8
    notes: tuple[str, ...] = ()


def _see(path: str, depth: Depth) -> _Seen:
    notes = []
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of large images and odd EXIF data
            with whole_image(path), Image.open(path) as image:
                check_range(image)
                bits, turn = bits_of(image), _turn(image)
                width, height = image.size
                # Pillow has turned a TIFF's size already
                swapped = turn in _SWAPPING and image.format != "TIFF"
                whole = depth == Depth.PIXELS or image.mode == "F"
                if turn is not None:
                    notes.append("turned_image")
                if _has_pages(image):
                    notes.append("frames_image")
            if whole:
                decoded = open_image(path)
                (width, height), swapped = decoded.size, False
                if bits == _DEEP and decoded.convert("L").getextrema()[1] < _DARK:
                    notes.append("dark_image")
    except FileError as error:
        return _Seen(f"it {error.reason}")
    except OSError as error:
        return _Seen(reason_of(error))
    return _Seen((height, width) if swapped else (width, height), bits, tuple(notes))


def _has_pages(image: Image.Image) -> bool:
    # photographs of telephones have several as well, of which nobody thinks
    try:
        return image.format in _PAGED and getattr(image, "n_frames", 1) > 1
    except Exception:  # of what is broken behind the first, which is read
        return False


def _turn(image: Image.Image) -> Image.Transpose | None:
    # Pillow decodes a PNG to look behind its pixels for EXIF data, which few programs write there
    if image.format == "PNG" and not _BEFORE & set(image.info):
        file = image.fp
        place = file.tell()
        file.seek(max(file.seek(0, os.SEEK_END) - _END, 0))
        end = file.read()
        file.seek(place)
        if not any(key in end for key in _BEHIND):
            return None
    return exif_turn(image)
