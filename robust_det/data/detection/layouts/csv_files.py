"""CSV files: which of them are tables of boxes, and where their images are."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from robust_det.core.errors import UserError
from robust_det.data.detection.checking.report import Report
from robust_det.data.detection.layouts.layout import ALL, TEST, TRAIN, VAL, entry_name, role_of
from robust_det.data.detection.readers.tables.columns import find_columns
from robust_det.data.detection.readers.tables.image_files import ImageFiles
from robust_det.data.detection.readers.tables.table import Table, read_table

__all__ = ["TABLES", "csv_entries", "is_table"]

TABLES = (".csv", ".tsv")
_FEW = 50  # rows, enough to tell the folder of the images


def is_table(path: Path) -> bool:
    """Return whether a file is a table of boxes."""
    try:
        find_columns(read_table(path, "", Report("")).header, "")
    except UserError:
        return False
    return True


def csv_entries(files: Mapping[str, Path], place: Path, top: Path) -> dict[str, dict[str, Any]]:
    """Return the entries of tables by role; all have the classes of all of them.

    Args:
        files: by role.
        place: that was looked at, for names.
        top: the folder that everything is in.

    Raises:
        UserError: one is no table of boxes, or its images are not there.
    """
    name = entry_name(place, "")
    tables = {role: read_table(path, name, Report(name)) for role, path in files.items()}
    classes = {role: _classes(table, files[role]) for role, table in tables.items()}
    union = sorted(set().union(*classes.values()))
    entries = {}
    for role, path in files.items():
        entry: dict[str, Any] = {"NAME": entry_name(place, role), "CSV": str(path.absolute())}
        entry["IMAGES"] = str(_images_of(tables[role], path, top).absolute())
        if any(found != set(union) for found in classes.values()):
            entry["CLASSES"] = union
        for part, split in _splits(tables[role], path, role).items():
            named = {"NAME": entry_name(place, part), **({"SPLIT": split} if split else {})}
            entries[part] = {**entry, **named}
    return entries


def _splits(table: Table, path: Path, role: str) -> dict[str, str]:
    """Return by role what a column of splits says; the file's own role where it has none."""
    place = find_columns(table.header, str(path)).split
    cells = {row.cells[place] for row in table.rows if 0 <= place < len(row.cells)}
    roles = {role_of(cell): cell for cell in sorted(cells)}
    if role != ALL or place < 0 or "" in roles or len(roles) < len(cells):
        return {role: ""}
    return {part: roles[part] for part in (TRAIN, VAL, TEST) if part in roles}


def _classes(table: Table, path: Path) -> set[str]:
    place = find_columns(table.header, str(path)).label
    cells = {row.cells[place] for row in table.rows if 0 <= place < len(row.cells)}
    return cells - {""}


def _images_of(table: Table, path: Path, top: Path) -> Path:
    """Return the first folder of the likely ones below which the images of a table are."""
    place = find_columns(table.header, str(path)).image
    names = [row.cells[place] for row in table.rows[:_FEW] if place < len(row.cells)]
    for folder in dict.fromkeys((path.parent, top, path.absolute().parent.parent)):
        there = ImageFiles(str(folder))
        if any(file in there.names for file in there.find(names, Report("")).values()):
            return folder
    raise UserError(
        f"the images of {path}, such as {names[0] if names else 'none'}, are not below {top}",
        "name their folder as IMAGES of an entry of DATASETS.CUSTOM",
    )
