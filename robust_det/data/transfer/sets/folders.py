"""Folders of classes, in folders of splits or not."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

from robust_det.core.errors import UserError, counted
from robust_det.data.classification.listing import is_image, left_out, listing_of
from robust_det.data.transfer.catalogue import ALL
from robust_det.data.transfer.listed import FOLDERS, UNSPLIT, Item, Listed
from robust_det.data.walking import is_hidden

__all__ = ["class_names", "direct_images", "has_splits", "read_folders", "read_unsplit"]

_VAL = ("val", "valid", "validation")
_LIKE_SPLITS = ("train", "training", "test", "testing", *_VAL)
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

    Raises:
        UserError: a link in place of a class leads nowhere.
    """
    vals = [each for each in _VAL if (root / each).is_dir()]
    val = vals[0] if vals else ""
    notes = [f"{each} is not read: {val} is" for each in vals[1:]]
    if (root / "test").is_dir():
        folders = {"train": "train", **({"val": val} if val else {}), "test": "test"}
    else:
        folders = {"train": "train", "test": val}
        notes.append(f"there is no folder test; {val} is taken for it")
    splits = {}
    found: set[str] = set()
    for split, folder in folders.items():
        names = class_names(root / folder)
        notes += _beside(root / folder)
        found.update(names)
        splits[split] = [item for each in names for item in _images(root, folder, each, notes)]
    if "val" in splits and not splits["val"]:
        notes.append(f"{val} holds no images in folders of classes: it is taken for missing")
    classes = sorted(found, key=_ORDERS.get(name, str))
    return Listed(root, FOLDERS, tuple(classes), splits, tuple(notes))


def read_unsplit(root: Path, folder: str, lacks: tuple[str, ...] = ()) -> Listed:
    """Read ``<class>/`` where nothing splits the images.

    Args:
        root, folder: the base, and the folder below it that has the classes.
        lacks: official lists that are not there.

    Raises:
        UserError: no folders; such as are splits by their names; or see :func:`read_folders`.
    """
    names = class_names(root / folder)
    if not names:
        raise UserError(
            f"{root} has no folders; it needs train/<class>/ and test/<class>/, or <class>/"
        )
    if odd := [each for each in names if _is_like_a_split(root / folder / each)]:
        raise UserError(
            f"{root / folder} has {', '.join(odd)}, which hold folders as splits do, and not both"
            " train and test",
            "name them train/<class>/ and test/<class>/, maybe val/<class>/; or give the folder"
            " that holds the classes",
        )
    notes = _beside(root / folder)
    items = [item for each in names for item in _images(root, folder, each, notes)]
    layout = UNSPLIT if lacks else FOLDERS
    return Listed(root, layout, tuple(names), {ALL: items}, tuple(notes), lacks)


def _is_like_a_split(folder: Path) -> bool:
    """Whether it is called as a split is, and holds folders, not images."""
    return folder.name.strip().casefold() in _LIKE_SPLITS and bool(class_names(folder))


def _beside(folder: Path) -> list[str]:
    """Say which images lie beside the folders of classes.

    Raises:
        UserError: a link leads nowhere, so that a class may be missing.
    """
    with os.scandir(folder) as entries:
        files = sorted(e.name for e in entries if not e.is_dir() and not is_hidden(e.name))
    if lost := [name for name in files if not os.path.exists(folder / name)]:
        raise UserError(f"{folder / lost[0]} is a link that leads nowhere; mend or remove it")
    if not (images := [name for name in files if is_image(name)]):
        return []
    return [
        f"{counted(len(images), 'image')}, such as {images[0]}, in {folder} itself, of no class,"
        " left out"
    ]


def _images(root: Path, folder: str, name: str, notes: list[str]) -> list[Item]:
    found = listing_of(root / folder / name)
    below = f"{folder}/" if folder else ""
    if found.others:
        notes.append(
            f"files of {below}{name} that are not read as images were left out:"
            f" {left_out(found.others)}"
        )
    if found.folders:
        first, second, *_ = found.folders
        notes.append(
            f"{below}{name} has {len(found.folders)} folders with images ({first}, {second}, ...)"
            f" and none of its own: all count as the one class {name}"
        )
    return [(f"{below}{os.fsdecode(path)}", name) for path in found.paths]
