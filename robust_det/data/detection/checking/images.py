"""Looking at image files: are they there, can they be read, how large are they."""

from __future__ import annotations

import os
import warnings
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from enum import IntEnum

from PIL import Image

from robust_det.core.errors import reason_of
from robust_det.core.progress import progress_bar

__all__ = ["SUFFIXES", "Depth", "Listing", "look"]

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


class Listing:
    """Answers which files exist, by listing each folder once: a file server takes milliseconds to
    say whether a file is there, and data sets have 100,000."""

    def __init__(self) -> None:
        self._folders: dict[str, frozenset[str]] = {}

    def has(self, path: str) -> bool:
        """Return whether the folder of ``path`` has an entry of that name."""
        folder, name = os.path.split(path)
        return name in self.names(folder)

    def names(self, folder: str) -> frozenset[str]:
        """Return the names in a folder; none if there is no such folder."""
        if folder not in self._folders:
            try:
                names = frozenset(os.listdir(folder or "."))
            except OSError:
                names = frozenset()
            self._folders[folder] = names
        return self._folders[folder]

    def missing(self, paths: Iterable[str]) -> set[str]:
        """Return those that do not exist."""
        return {path for path in paths if not self.has(path)}


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
