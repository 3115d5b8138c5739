"""Where a split of a data set lies: in a folder of class folders, or in a tar file of ImageNet."""

from __future__ import annotations

import dataclasses
import os
from pathlib import Path

from robust_det.core.errors import UserError
from robust_det.data.classification.folders import split_in_folder
from robust_det.data.classification.found import Found
from robust_det.data.classification.imagenet.splits import DEVKIT, TARS, split_in_tar

__all__ = ["find_split", "has_split"]

# what others call the folder of validation images
_VALIDATION = ("val", "valid", "validation", "dev")


def has_split(root: Path, split: str) -> bool:
    """Return whether a split is there, in either layout."""
    tar = TARS.get(split)
    return (root / split).is_dir() or (tar is not None and (root / tar).exists())


def find_split(root: Path, split: str) -> Found:
    """List the images of a split.

    Where a folder is there, it is read, and a note says so if the tar file is there as well.

    Args:
        root: of the data set.
        split: the name of a folder below it, or the path of another one. ``train`` and ``val`` may
            be ImageNet's tar files.

    Raises:
        UserError: it is not there, or has no classes or a class without images.
        FileError: a tar file is damaged or compressed.
    """
    folder, tar = root / Path(split).expanduser(), TARS.get(split)
    both = tar is not None and (root / tar).exists()
    if folder.is_dir():
        found = split_in_folder(folder)
        if both:
            note = f"{root} has {split}/ and {tar}: the folder is read, and the tar file is not"
            found = dataclasses.replace(found, notes=(*found.notes, note))
        return found
    if both:
        return split_in_tar(root, split)
    if folder.exists():
        raise UserError(f"{folder} is a file; a split is a folder of class folders")
    raise UserError(f"no folder {folder}", _advice(root, split))


def _advice(root: Path, split: str) -> str:
    if not root.is_dir() or split == "train":
        near = sorted(path.name for path in root.glob(f"{TARS['train']}.*"))
        there = f"; {near[0]} is there: unpack it to {TARS['train']}" if near else ""
        return (
            "DATA.ROOT needs train/<class>/<images> and val/<class>/<images>, or"
            f" {TARS['train']}, {TARS['val']} and {DEVKIT}{there}"
        )
    others = [
        entry.name
        for entry in os.scandir(root)
        if entry.is_dir() and entry.name.lower() in _VALIDATION
    ]
    there = f" ({' and '.join(f'{name}/' for name in sorted(others))} is there)" if others else ""
    return (
        f"set DATA.VAL to the folder of the validation images{there}, or DATA.VAL_FRACTION to a"
        " part of the training images to split off for it, such as 0.1"
    )
