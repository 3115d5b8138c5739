"""Looking at image files: can they be read, how large are they."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from enum import IntEnum

from PIL import Image

from robust_det.core.errors import reason_of
from robust_det.core.progress import progress_bar

__all__ = ["SUFFIXES", "Depth", "look"]

SUFFIXES = (".jpg", ".jpeg", ".png", ".bmp", ".tif", ".tiff", ".webp")
_EXIF_ORIENTATION = 0x0112
# fewer are looked at before a bar could be read
_WORTH_A_BAR = 2000
_THREADS = 8


class Depth(IntEnum):
    """How closely images are looked at: by name, by header, or by decoding all pixels."""

    NAMES = 0
    HEADERS = 1
    PIXELS = 2


def look(
    paths: Sequence[str], label: str, depth: Depth = Depth.HEADERS
) -> list[tuple[int, int] | str]:
    """Return each image's width and height in pixels, as Detectron2 will turn it, or what is wrong.

    Args:
        paths: image files.
        label: shown at the progress bar.
        depth: ``PIXELS`` decodes them, which finds truncated files.
    """
    seen: list[tuple[int, int] | str] = []
    shown = len(paths) >= _WORTH_A_BAR
    # the wait is for the disk
    with (
        progress_bar(len(paths), f"check {label}", "images", shown) as bar,
        ThreadPoolExecutor(_THREADS) as pool,
    ):
        for size in pool.map(lambda path: _size(path, depth), paths):
            seen.append(size)
            bar.update()
    return seen


def _size(path: str, depth: Depth) -> tuple[int, int] | str:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of large images and odd EXIF data
            with Image.open(path) as image:
                width, height = image.size
                turned = _orientation(image) in (5, 6, 7, 8)
                if depth == Depth.PIXELS:
                    image.load()
    except Exception as error:  # Pillow's readers raise anything on a broken file
        return reason_of(error)
    return (height, width) if turned else (width, height)


def _orientation(image: Image.Image) -> int:
    # to look for EXIF data behind the pixels, Pillow would decode a PNG; nobody writes them there
    if image.format == "PNG" and not {"exif", "Raw profile type exif"} & set(image.info):
        return 1
    try:
        return image.getexif().get(_EXIF_ORIENTATION, 1)
    except Exception:  # Detectron2 then leaves the image as it is
        return 1
