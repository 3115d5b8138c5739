"""SUN397, the first of its ten partitions, which torchvision does not read."""

from __future__ import annotations

from pathlib import Path

from robust_det.core.errors import FileError
from robust_det.data.transfer.listed import OFFICIAL, Item, Listed
from robust_det.data.transfer.sets.layout import Layout, first_of, text_lines

__all__ = ["LAYOUTS"]

_FOLDERS = ("", "Partitions/", "../Partitions/")
_NAMES, _TRAIN, _TEST = (
    tuple(f"{folder}{name}" for folder in _FOLDERS)
    for name in ("ClassName.txt", "Training_01.txt", "Testing_01.txt")
)


def _read(base: Path) -> Listed:
    names, train, test = (_place(base, places) for places in (_NAMES, _TRAIN, _TEST))
    # /a/abbey and /a/apartment_building/outdoor
    classes = tuple(line[3:] for line in text_lines(names))
    known = set(classes)
    splits = {"train": _images(train, known), "test": _images(test, known)}
    return Listed(base, OFFICIAL, classes, splits)


def _images(path: Path, known: set[str]) -> list[Item]:
    items = []
    for line in text_lines(path):
        name = line[3:].rpartition("/")[0]
        if name not in known:
            raise FileError(f"has an image of no class of ClassName.txt: {line}", source=str(path))
        items.append((line.lstrip("/"), name))
    return items


def _place(base: Path, places: tuple[str, ...]) -> Path:
    found = first_of(base, *places)
    assert found is not None  # the layout needs it
    return found


# the folder of a letter tells the images' folder from that of the lists
LAYOUTS = (Layout(("SUN397",), (_NAMES, _TRAIN, _TEST, ("a",)), _read),)
