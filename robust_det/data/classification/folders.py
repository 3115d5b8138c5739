"""A split as a folder of class folders: ``<class>/*``."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np

from robust_det.data.classification.found import Found
from robust_det.data.classification.listing import Listing, class_folders, images_below, left_out
from robust_det.data.classification.stores import FileStore

__all__ = ["split_in_folder"]


def split_in_folder(folder: Path) -> Found:
    """List the images of a folder of class folders.

    Raises:
        UserError: it is missing or empty, or a class folder has no images.
    """
    names, beside = class_folders(folder)
    found = [images_below(folder / name) for name in names]
    return Found(
        FileStore(folder, [path for each in found for path in each.paths]),
        np.repeat(np.arange(len(found)), [len(each.paths) for each in found]),
        names,
        _notes(folder, beside, dict(zip(names, found, strict=True))),
    )


def _notes(folder: Path, beside: list[str], found: dict[str, Listing]) -> tuple[str, ...]:
    """Return what somebody should know of what lies in a split's folder."""
    notes = []
    if beside:
        notes.append(
            f"{len(beside)} files, such as {beside[0]}, lie in {folder} itself, belong to no class"
            " and were left out"
        )
    others: Counter[str] = sum((each.others for each in found.values()), Counter())
    if others:
        notes.append(
            f"files of {folder} that are not read as images were left out: {left_out(others)}"
        )
    nested = [name for name, each in found.items() if each.folders]
    if nested:
        inner = found[nested[0]].folders
        notes.append(
            f"{folder / nested[0]} has {len(inner)} sub-folders with images ({inner[0]},"
            f" {inner[1]}, ...) and none of its own: all of them count as the one class {nested[0]}"
        )
    return tuple(notes)
