"""Oxford-IIIT Pets. Classes are called as their files are, and come in the order of the lists'
numbers, which knows no capitals."""

from __future__ import annotations

from pathlib import Path

from robust_det.core.errors import FileError
from robust_det.data.transfer.listed import OFFICIAL, Item, Listed
from robust_det.data.transfer.sets.layout import Layout, text_lines

__all__ = ["LAYOUTS"]

_LISTS = {"train": "annotations/trainval.txt", "test": "annotations/test.txt"}


def _read(base: Path) -> Listed:
    numbers: dict[str, int] = {}
    splits = {split: _images(base / path, numbers) for split, path in _LISTS.items()}
    return Listed(base, OFFICIAL, tuple(sorted(numbers, key=numbers.__getitem__)), splits)


def _images(path: Path, numbers: dict[str, int]) -> list[Item]:
    items = []
    for line in text_lines(path):
        name, number, *_ = (*line.split(), "")
        breed, _, place = name.rpartition("_")
        if not breed or not place.isdecimal() or not number.isdecimal():
            raise FileError(f"has a line that is no image and class: {line}", source=str(path))
        if numbers.setdefault(breed, int(number)) != int(number):
            raise FileError(f"gives {breed} two numbers", "take the official file", str(path))
        items.append((f"images/{name}.jpg", breed))
    return items


LAYOUTS = (Layout(("oxford-iiit-pet",), tuple((path,) for path in _LISTS.values()), _read),)
