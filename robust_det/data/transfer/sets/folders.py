"""Folders of classes, in folders of splits or not."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

from robust_det.core.errors import UserError
from robust_det.data.classification.listing import left_out, listing_of
from robust_det.data.transfer.catalogue import ALL
from robust_det.data.transfer.listed import FOLDERS, UNSPLIT, Item, Listed
from robust_det.data.walking import is_hidden

__all__ = ["class_names", "direct_images", "has_splits", "read_folders", "read_unsplit"]

_VAL = ("val", "valid", "validation")
_ORDERS: dict[str, Callable[[str], Any]] = {
    "pets": str.casefold,
    "flowers": lambda name: (int(name) if name.isdecimal() else 0, name),
}


def class_names(folder: Path) -> list[str]:
    """Return the folders in a folder, sorted, without hidden ones."""
    with os.scandir(folder) as entries:
        return sorted(each.name for each in entries if each.is_dir() and not is_hidden(each.name))


def direct_images(folder: Path) -> tuple[list[str], list[str]]:
    """Return the JPEGs in a folder, and what else lies in it but hidden files, sorted."""
    names = sorted(name for name in os.listdir(folder) if not is_hidden(name))
    images = [name for name in names if name.lower().endswith((".jpg", ".jpeg"))]
    return images, sorted(set(names).difference(images))


def has_splits(root: Path) -> bool:
    """Return whether a folder has one for training and one for test or validation."""
    return (root / "train").is_dir() and any((root / each).is_dir() for each in ("test", *_VAL))


def read_folders(root: Path, name: str) -> Listed:
    """Read ``train/<class>/``, ``test/<class>/`` and maybe ``val/<class>/``.

    A class without images stays a class: without it the labels of others would shift.

    Args:
        root: their folder.
        name: of the set, for the order of its classes.
    """
    val = next((each for each in _VAL if (root / each).is_dir()), "")
    notes = []
    if (root / "test").is_dir():
        folders = {"train": "train", **({"val": val} if val else {}), "test": "test"}
    else:
        folders = {"train": "train", "test": val}
        notes.append(f"there is no folder test; {val} is taken for it")
    splits = {}
    found: set[str] = set()
    for split, folder in folders.items():
        names = class_names(root / folder)
        found.update(names)
        splits[split] = [item for each in names for item in _images(root, folder, each, notes)]
    classes = sorted(found, key=_ORDERS.get(name, str))
    return Listed(root, FOLDERS, tuple(classes), splits, tuple(notes))


def read_unsplit(root: Path, folder: str, lacks: tuple[str, ...] = ()) -> Listed:
    """Read ``<class>/`` where nothing splits the images.

    Args:
        root, folder: the base, and the folder below it that has the classes.
        lacks: official lists that are not there.
    """
    names = class_names(root / folder)
    if not names:
        raise UserError(
            f"{root} has no folders; it needs train/<class>/ and test/<class>/, or <class>/"
        )
    notes: list[str] = []
    items = [item for each in names for item in _images(root, folder, each, notes)]
    layout = UNSPLIT if lacks else FOLDERS
    return Listed(root, layout, tuple(names), {ALL: items}, tuple(notes), lacks)


def _images(root: Path, folder: str, name: str, notes: list[str]) -> list[Item]:
    found = listing_of(root / folder / name)
    below = f"{folder}/" if folder else ""
    if found.others:
        notes.append(
            f"files of {below}{name} that are not read as images were left out:"
            f" {left_out(found.others)}"
        )
    return [(f"{below}{os.fsdecode(path)}", name) for path in found.paths]
