"""Intervals, differences and errors as text for a terminal, as Markdown, and for the page."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from markupsafe import Markup
from matplotlib.figure import Figure

from robust_det.analysis.significance.cells import (
    HOW_TO_READ_ERRORS,
    Table,
    csv_text,
    difference_table,
    errors_csv_text,
    errors_table,
    figure_table,
    how_to_read,
)
from robust_det.analysis.significance.drawings import errors_figure, forest_figure
from robust_det.analysis.significance.study import TaskStudy
from robust_det.analysis.tables import escape_markdown, heading, render_table
from robust_det.core.figures import PLACEHOLDER, image_bytes, inline_svg

__all__ = ["markdown_text", "page_parts", "study_files", "terminal_text"]


class _Part:
    """A table of a study, and its picture if it has one."""

    def __init__(
        self,
        name: str,
        how: str,
        table: Table,
        names: int,
        draw: Callable[..., Figure] | None = None,
    ) -> None:
        self.name, self.how, self.table, self.names, self.draw = name, how, table, names, draw


def _parts(one: TaskStudy) -> list[_Part]:
    out = []
    if one.figures:
        table = figure_table(one)
        out.append(_Part("95% intervals over images", how_to_read(one), table, 2))
    if one.differences:
        table = difference_table(one)
        out.append(_Part("Paired differences", how_to_read(one), table, 1, forest_figure))
    if one.errors:
        table = errors_table(one)
        out.append(_Part("Kinds of errors", HOW_TO_READ_ERRORS, table, 2, errors_figure))
    return out


def terminal_text(studies: Sequence[TaskStudy]) -> str:
    """Return all tables for a terminal."""
    return _text(studies, "simple")


def markdown_text(studies: Sequence[TaskStudy]) -> str:
    """Return all tables as Markdown."""
    return f"# Significance and errors\n\n{_text(studies, 'pipe')}\n"


def _text(studies: Sequence[TaskStudy], style: str) -> str:
    level, safe = ("## ", escape_markdown) if style == "pipe" else ("", str)
    blocks = []
    for one in studies:
        for part in _parts(one):
            title = f"{heading(one.setting, one.task)} — {part.name}"
            blocks += [level + safe(title), render_table(*part.table, part.names, style)]
        blocks += [safe(note) for note in one.notes]
    parts = [part for one in studies for part in _parts(one)]
    return "\n\n".join([*blocks, *dict.fromkeys(part.how for part in parts)])


def page_parts(studies: Sequence[TaskStudy], letter: str) -> list[dict[str, Any]]:
    """Return what the page shows of one setting: titles, tables, plots and notes."""
    out: list[dict[str, Any]] = []
    for one in studies:
        if one.setting.letter != letter:
            continue
        notes = one.notes
        for part in _parts(one):
            headers, cells = part.table
            plot = None
            if part.draw is not None:
                described = "; ".join(f"{row[0]} {row[part.names]}" for row in cells)
                # Markup: our own SVG, in which matplotlib has escaped the names
                plot = Markup(inline_svg(part.draw(one, PLACEHOLDER), f"{part.name}: {described}"))
            title = f"{heading(one.setting, one.task).split(' — ')[-1]}: {part.name.lower()}"
            out.append(
                {
                    "title": title,
                    # said once
                    "how": "" if any(p["how"] == part.how for p in out) else part.how,
                    "headers": headers,
                    "names": part.names,
                    "rows": cells,
                    "plot": plot,
                    "notes": notes,
                }
            )
            notes = []
    return out


def study_files(studies: Sequence[TaskStudy]) -> dict[str, bytes]:
    """Return the files of the studies by their names: tables and plots."""
    files = {"significance.md": markdown_text(studies).encode()}
    if any(one.figures for one in studies):
        files["significance.csv"] = csv_text(studies).encode()
    if any(one.errors for one in studies):
        files["errors.csv"] = errors_csv_text(studies).encode()
    for one in studies:
        safe = "".join(c if c.isalnum() else "_" for c in one.task)
        drawn = {"differences": forest_figure(one)} if one.differences else {}
        if one.errors:
            drawn["errors"] = errors_figure(one)
        for name, figure in drawn.items():
            for kind in ("png", "svg"):
                where = f"plots/{name}_{safe}_{one.setting.letter}.{kind}"
                files[where] = image_bytes(figure, kind)
    return files
