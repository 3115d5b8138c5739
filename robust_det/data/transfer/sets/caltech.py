"""Caltech-101 and Caltech-256: folders of classes, and nothing that splits them.

torchvision's classes count any file, such as ``198.spider/RENAME2``, convert nothing to RGB, and
that of Caltech-101 fails without ``BACKGROUND_Google``.
"""

from __future__ import annotations

from pathlib import Path

from robust_det.data.transfer.catalogue import ALL
from robust_det.data.transfer.listed import OFFICIAL, Listed
from robust_det.data.transfer.sets.folders import class_names, direct_images
from robust_det.data.transfer.sets.layout import Layout

__all__ = ["LAYOUTS_101", "LAYOUTS_256"]

_FOLDER_101, _FOLDER_256 = "101_ObjectCategories", "256_ObjectCategories"
_BACKGROUND = "BACKGROUND_Google"


def _read_101(base: Path) -> Listed:
    return _read(base, _FOLDER_101)


def _read_256(base: Path) -> Listed:
    return _read(base, _FOLDER_256)


def _read(base: Path, folder: str) -> Listed:
    names = class_names(base / folder)
    classes = tuple(name for name in names if name != _BACKGROUND)
    notes = [f"{_BACKGROUND} is no class and was left out"] if _BACKGROUND in names else []
    items = []
    for name in classes:
        images, other = direct_images(base / folder / name)
        items += [(f"{folder}/{name}/{image}", name) for image in images]
        if other:
            notes.append(f"{folder}/{name}/{other[0]} is no image and was left out")
    return Listed(base, OFFICIAL, classes, {ALL: items}, tuple(notes))


LAYOUTS_101 = (Layout(("caltech101", "caltech-101"), ((_FOLDER_101,),), _read_101),)
LAYOUTS_256 = (Layout(("caltech256", "caltech-256"), ((_FOLDER_256,),), _read_256),)
