"""darknet's ``obj.data``, as CVAT and others write it: lists of images, and names of classes."""

from __future__ import annotations

import os
from pathlib import Path

from robust_det.core.errors import UserError, reason_of
from robust_det.data.detection.checking.listing import Listing
from robust_det.data.detection.checking.report import Report
from robust_det.data.detection.readers.texts import read_text
from robust_det.data.detection.readers.yolo_images import after_data, images_at
from robust_det.data.detection.readers.yolo_names import read_names
from robust_det.data.detection.source import NoSuchSplit
from robust_det.data.walking import is_hidden

__all__ = ["data_files", "read_data_file"]

_OTHER_NAMES = {"val": "valid", "valid": "val"}


def data_files(folder: Path) -> list[Path]:
    """Return the files of this kind in a folder."""
    return sorted(
        file for file in folder.iterdir() if file.suffix == ".data" and not is_hidden(file.name)
    )


def read_data_file(
    path: Path, split: str, name: str, classes: tuple[str, ...], report: Report
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return the images and the classes that a file names for a split.

    Args:
        path: of lines ``train = LIST``, ``valid = LIST`` and ``names = FILE``. Paths are relative
            to it, or have a folder ``data`` in front, as which darknet knows its place.
        split, name, classes, report: see :func:`~.yolo_layout.read_layout`.

    Raises:
        UserError: it cannot be read, or has no such split or no names.
    """
    try:
        lines = read_text(path).splitlines()
    except (OSError, ValueError) as error:
        raise UserError(f"data set '{name}': cannot read {path}: {reason_of(error)}") from error
    raw = {k.strip(): v.strip() for k, found, v in (line.partition("=") for line in lines) if found}
    place = raw.get(split) or raw.get(_OTHER_NAMES.get(split, ""))
    if not place:
        known = ", ".join(key for key in ("train", "valid", "test") if raw.get(key))
        raise NoSuchSplit(
            f"data set '{name}': {path} names no images for '{split}'"
            + (f", only for {known}" if known else "")
        )
    images = images_at(_located(place, path), path.parent, name, report)
    if classes:
        return images, classes
    if not raw.get("names"):
        raise UserError(f"data set '{name}': {path} needs names, a file with a class on each line")
    file = _located(raw["names"], path)
    names = read_names(file, name, report)
    count = raw.get("classes", str(len(names)))
    if count != str(len(names)):
        raise UserError(
            f"data set '{name}': {path} says classes = {count}, and {file} names {len(names)}"
        )
    return images, names


def _located(place: str, path: Path) -> Path:
    listing = Listing()
    for reading in (place, after_data(place), os.path.basename(place.replace("\\", "/"))):
        found = listing.find(str(path.parent), reading)
        if len(found) == 1:
            return path.parent / found[0]
    return path.parent / place
