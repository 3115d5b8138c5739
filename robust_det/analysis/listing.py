"""Tables of records as text: for a terminal, as CSV, JSON or Markdown."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from tabulate import tabulate

from robust_det.analysis.tables import escape_markdown
from robust_det.core.errors import counted
from robust_det.records.export import csv_text, json_lines
from robust_det.records.table import Table

__all__ = ["STYLES", "listing"]

STYLES = ("table", "csv", "json", "markdown")
_GAP = 2  # between columns
_PADDING = 2  # of a name at the head of a column, by tabulate
_LEAST = 12  # characters to which a text is shortened at most


def listing(table: Table, style: str, width: int | None = None) -> str:
    """Return a table as text.

    Args:
        table: what to show.
        style: one of :data:`STYLES`. JSON is a list of objects.
        width: characters of the terminal, for ``table``: texts are shortened, and the last columns
            left out, until it fits, and a line says so. None is any.
    """
    if style == "csv":
        return csv_text(table).removesuffix("\n")
    if style == "json":
        return "[\n" + ",\n".join(json_lines(table)) + "\n]" if table.rows else "[]"
    cells = [[_cell(value) for value in row] for row in table.rows]
    numbers = [_is_number([row[n] for row in table.rows]) for n in range(len(table.columns))]
    if style == "markdown":
        return _rendered(table.columns, cells, numbers, "pipe")
    kept, left_out = _fitting(table.columns, cells, width)
    columns = [table.columns[n] for n, _ in kept]
    shown = [[_shortened(row[n], size) for n, size in kept] for row in cells]
    text = _rendered(columns, shown, [numbers[n] for n, _ in kept], "simple")
    lines = [text, ""]
    rows = counted(table.of, "row")
    lines.append(f"{len(cells)} of {rows}" if len(cells) < table.of else rows)
    if left_out and cells:
        lines[-1] += f"; no room for {', '.join(left_out)}: --columns chooses, --format csv has all"
    return "\n".join(lines)


def _rendered(
    columns: Sequence[str], cells: list[list[str]], numbers: Sequence[bool], style: str
) -> str:
    safe = escape_markdown if style == "pipe" else str
    return tabulate(
        [[safe(cell) for cell in row] for row in cells],
        headers=[safe(name) for name in columns],
        tablefmt=style,
        disable_numparse=True,
        colalign=["right" if number else "left" for number in numbers] if cells else None,
    )


def _fitting(
    columns: Sequence[str], cells: Sequence[Sequence[str]], width: int | None
) -> tuple[list[tuple[int, int]], list[str]]:
    """Return the places and the sizes of the columns that fit, and the names of the others."""
    wide = [
        max([len(name) + _PADDING, *(len(row[n]) for row in cells)])
        for n, name in enumerate(columns)
    ]
    if width is None:
        return list(enumerate(wide)), []
    kept = list(enumerate(wide))
    while len(kept) > 1 and sum(_least(columns[n], size) + _GAP for n, size in kept) - _GAP > width:
        kept.pop()
    over = sum(size + _GAP for _, size in kept) - _GAP - width
    while over > 0:
        # the widest is shortened first
        n, size = max(kept, key=lambda pair: pair[1] - _least(columns[pair[0]], pair[1]))
        spare = size - _least(columns[n], size)
        if spare <= 0:
            break
        step = min(over, max(1, spare // 4))
        kept[[place for place, _ in kept].index(n)] = (n, size - step)
        over -= step
    return kept, list(columns[len(kept) :])


def _least(name: str, size: int) -> int:
    return max(len(name) + _PADDING, min(size, _LEAST))


def _shortened(text: str, size: int) -> str:
    """Keep both ends of a text: names of runs differ in their ends."""
    if len(text) <= size:
        return text
    head = (size - 1) // 2
    return f"{text[:head]}…{text[len(text) - (size - 1 - head) :]}"


def _cell(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, float):
        return f"{value:.6g}"
    text = " ".join(str(value).split())
    return text if text.isprintable() else "".join(c if c.isprintable() else "?" for c in text)


def _is_number(values: Sequence[Any]) -> bool:
    known = [value for value in values if value is not None]
    return bool(known) and all(
        isinstance(value, (int, float)) and not isinstance(value, bool) for value in known
    )
