"""A text file of rows, whatever separates their cells."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from robust_det.core.errors import UserError, reason_of
from robust_det.data.detection.checking.report import Report
from robust_det.data.detection.readers.texts import read_text

__all__ = ["Row", "Table", "as_number", "read_table"]

_SEPARATORS = (",", ";", "\t", "|")
# keras-retinanet's, which has no header
_HEADERLESS = ("path", "x1", "y1", "x2", "y2", "class")


@dataclass(frozen=True)
class Row:
    """The cells of a row, and where it stands: ``line 2 of boxes.csv``."""

    cells: tuple[str, ...]
    where: str


@dataclass(frozen=True)
class Table:
    """Rows that are not empty.

    Attributes:
        header: names of the columns as written; those of keras-retinanet's where there are none.
        headerless: whether the file has none.
        comma: whether numbers have a comma for their point.
        rows: the others.
    """

    header: tuple[str, ...]
    headerless: bool
    comma: bool
    rows: tuple[Row, ...]


def read_table(path: Path, name: str, report: Report) -> Table:
    """Read a CSV file; commas, semicolons, tabs or bars separate its cells.

    Args:
        path: of the file.
        name: of the data set, for messages.
        report: how its text was read is added to it.

    Raises:
        UserError: it cannot be read, or has no table.
    """
    try:
        text = read_text(path, report)
        first = next((line for line in text.splitlines() if line.strip()), "")
        separator = max(_SEPARATORS, key=first.count)
        reader = csv.reader(io.StringIO(text, newline=""), delimiter=separator)
        rows = [
            Row(tuple(cell.strip() for cell in cells), f"line {reader.line_num} of {path.name}")
            for cells in reader
            if any(cell.strip() for cell in cells)
        ]
    except (OSError, ValueError, csv.Error) as error:
        raise UserError(f"data set '{name}': cannot read {path}: {reason_of(error)}") from error
    if not rows:
        raise UserError(f"data set '{name}': {path} is empty")
    comma, header = separator != ",", rows[0].cells
    numbers = [cell for cell in header if as_number(cell, comma) is not None]
    if not numbers and not _is_empty_image(header):
        if len(header) < 2:
            raise UserError(
                f"data set '{name}': the first line of {path} has one column, '{header[0][:60]}';"
                " a comma, a semicolon, a tab or a bar separates columns"
            )
        return Table(header, False, comma, tuple(rows[1:]))
    if len(header) != len(_HEADERLESS) or header[0] in numbers:
        raise UserError(
            f"data set '{name}': the first line of {path} is no header, and its {len(header)} cells"
            f" are not {','.join(_HEADERLESS)}; add a line that names the columns"
        )
    return Table(_HEADERLESS, True, comma, tuple(rows))


def _is_empty_image(cells: Sequence[str]) -> bool:
    """Return whether a row is an image without objects of a file without a header."""
    return len(cells) == len(_HEADERLESS) and bool(cells[0]) and not any(cells[1:])


def as_number(text: str, comma: bool = False) -> float | None:
    """Return the number in a cell; None if it is none.

    Args:
        text: of the cell.
        comma: whether it may have a comma for its point.
    """
    try:
        return float(text.replace(",", ".", 1) if comma else text)
    except ValueError:
        return None
