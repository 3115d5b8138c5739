"""A CSV file of paths and labels."""

from __future__ import annotations

import csv
import re
from collections.abc import Sequence
from pathlib import Path

from robust_det.core.errors import FileError, UserError, naming
from robust_det.data.transfer.catalogue import ALL, SPLITS
from robust_det.data.transfer.listed import TABLE, Item, Listed, check_path
from robust_det.data.transfer.sets.layout import text_lines

__all__ = ["read_table"]

_NEEDED = ("path", "label")


def read_table(path: Path) -> Listed:
    """Read rows of ``path,label`` or ``path,label,split``; paths are relative to the file.
    Classes come in the order of their names, and by value where all are numbers.

    Raises:
        UserError: a folder that has not one CSV file; or see below.
        FileError: a column or a value is missing, a column is there twice, a label is soft, or a
            split is none of train, val and test.
    """
    if path.is_dir():
        found = sorted(each for each in path.iterdir() if each.suffix.lower() == ".csv")
        if len(found) != 1:
            raise UserError(f"{path} holds {len(found)} CSV files; name the one that is meant")
        path = found[0]
    with naming(path):
        splits = _splits(list(csv.reader(text_lines(path))))
    classes = _ordered({label for items in splits.values() for _, label in items})
    return Listed(path.parent, TABLE, tuple(classes), splits)


def _splits(rows: Sequence[Sequence[str]]) -> dict[str, list[Item]]:
    header = [name.strip().lower() for name in rows[0]] if rows else []
    if lost := [name for name in _NEEDED if name not in header]:
        raise FileError(
            f"has no column '{lost[0]}'", "its first line is path,label or path,label,split"
        )
    if twice := [name for name in (*_NEEDED, "split") if header.count(name) > 1]:
        raise FileError(f"has the column '{twice[0]}' twice", "leave the one that is meant")
    splits: dict[str, list[Item]] = {}
    for line, row in enumerate(rows[1:], start=2):
        if len(row) != len(header):
            raise FileError(f"has {len(row)} values for {len(header)} columns in row {line}")
        values = {name: value.strip() for name, value in zip(header, row, strict=True)}
        if empty := [name for name in _NEEDED if not values[name]]:
            raise FileError(f"has no {empty[0]} in row {line}")
        if _is_soft(values["label"]):
            raise FileError(
                f"has the soft label '{values['label']}' in row {line}", "give one class an image"
            )
        split = values.get("split", ALL).lower()
        if "split" in header and split not in SPLITS:
            raise FileError(f"has the split '{split}' in row {line}", "use train, val and test")
        splits.setdefault(split, []).append((check_path(values["path"]), values["label"]))
    if not splits:
        raise FileError("has no rows")
    return splits


def _ordered(labels: set[str]) -> list[str]:
    """Sort labels; where all are numbers by their values, so that 10 comes after 9."""
    try:
        values = {label: float(label) for label in labels}
    except ValueError:
        return sorted(labels)
    return sorted(labels, key=lambda label: (values[label], label))


def _is_soft(label: str) -> bool:
    """Whether it lists probabilities of classes, such as ``[0.1, 0.9]``."""
    try:
        shares = [float(share) for share in re.split(r"[\s,;|]+", label.strip(" []()"))]
    except ValueError:
        return False
    return len(shares) > 1 and min(shares) >= 0 and abs(sum(shares) - 1) < 0.01
