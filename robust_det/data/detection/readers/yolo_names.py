"""Names of classes in a text file, one a line, in the order of their ids."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from robust_det.core.errors import UserError, reason_of
from robust_det.data.detection.checking.report import Report
from robust_det.data.detection.readers.texts import read_text

__all__ = ["names_beside", "not_data", "read_names"]

_FILES = ("classes.txt", "obj.names", "classes.names", "labels.txt")


def names_beside(
    folder: Path, images: Path, split: str, name: str, others: Sequence[Path], report: Report
) -> tuple[str, ...]:
    """Return the names of a folder without ``data.yaml``.

    The file stands in the folder, as Label Studio has it, or among the labels, as LabelImg does.

    Args:
        folder: of the data set.
        images: folder of the split's images.
        split, name: of the data set; the name for messages.
        others: files in YAML that say nothing of data, for messages.
        report: how the file is read is added to it.

    Raises:
        UserError: there is none, or several say different things.
    """
    labels = (folder / "labels" / split, folder / split / "labels", folder / "labels", images)
    found: dict[tuple[str, ...], Path] = {}
    for place in (folder, *labels):
        for file in (place / one for one in _FILES):
            if os.path.isfile(file):
                found.setdefault(read_names(file, name, report), file)
    found.pop((), None)
    if not found:
        raise UserError(
            f"data set '{name}': {folder} has no names of classes; write them into"
            f" classes.txt there, one a line in the order of their numbers, or give CLASSES or"
            f" data.yaml{not_data(others)}"
        )
    if len(found) > 1:
        files = " and ".join(str(file) for file in found.values())
        raise UserError(
            f"data set '{name}': {files} name different classes; remove those that are wrong, or"
            " give CLASSES"
        )
    return next(iter(found))


def not_data(others: Sequence[Path]) -> str:
    """Return words for files in YAML that say nothing of data."""
    listed = ", ".join(file.name for file in others)
    return f"; {listed} there names neither classes nor images" if others else ""


def read_names(path: Path, name: str, report: Report) -> tuple[str, ...]:
    """Return the names in a file; empty lines may only end it, as they would shift the ids.

    Raises:
        UserError: it cannot be read, or has an empty line between names.
    """
    try:
        lines = [line.strip() for line in read_text(path, report).rstrip().splitlines()]
    except (OSError, ValueError) as error:
        raise UserError(f"data set '{name}': cannot read {path}: {reason_of(error)}") from error
    if not all(lines):
        raise UserError(
            f"data set '{name}': line {lines.index('') + 1} of {path} is empty, and lines are the"
            " classes' numbers; name the class or remove the line"
        )
    return tuple(lines)
