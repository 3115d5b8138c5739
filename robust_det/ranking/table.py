"""The table of a ranking, as text, Markdown and CSV."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence

from tabulate import tabulate

from robust_det.ranking.comparison import Row
from robust_det.ranking.scores import METRICS
from robust_det.ranking.words import TITLES, format_figure

__all__ = ["csv_text", "markdown", "table"]

_CSV_COLUMNS = (
    "place",
    "backbone",
    "arch",
    "norm",
    "eps",
    "files",
    "sha256",
    *(f"{metric}{end}" for metric in METRICS for end in ("", "_low", "_high")),
    "best_share",
    "behind",
    "behind_low",
    "behind_high",
)
_NONE = "—"
_MARKS = "\\`*_[]|#"


def table(rows: Sequence[Row], headline: str, style: str = "simple") -> str:
    """Return the rows as text: figures with 95% intervals.

    Args:
        rows: the best first.
        headline: the metric that orders them, which comes first.
        style: ``simple`` for a terminal, ``pipe`` for Markdown, in which names are escaped.
    """
    order = [headline, *(metric for metric in METRICS if metric != headline)]
    cells = [
        [
            str(place),
            row.label,
            str(len(row.files)),
            *(format_figure(row.figures[metric], metric) for metric in order),
            f"{row.sure:.0%}",
            _NONE if row.behind is None else format_figure(row.behind, headline, signed=True),
        ]
        for place, row in enumerate(rows, 1)
    ]
    if style == "pipe":
        cells = [[_escaped(cell) for cell in row] for row in cells]
    headers = ["", "backbone", "n", *(TITLES[m] for m in order), "best in", "behind the best"]
    return tabulate(
        cells,
        headers,
        tablefmt=style,
        disable_numparse=True,
        colalign=("right", "left", *["right"] * (len(headers) - 2)),
    )


def markdown(title: str, rows: Sequence[Row], headline: str, said: Sequence[str], how: str) -> str:
    """Return a page of the answer, the table, and how it was made.

    Args:
        title: of the page.
        rows, headline: see :func:`table`.
        said: sentences.
        how: a paragraph.
    """
    lines = "\n".join(f"- {_escaped(line)}" for line in said)
    return f"# {_escaped(title)}\n\n{lines}\n\n{table(rows, headline, 'pipe')}\n\n{_escaped(how)}\n"


def csv_text(rows: Sequence[Row]) -> str:
    """Return the rows in full precision; accuracies in percent, what is unknown empty."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(_CSV_COLUMNS)
    for place, row in enumerate(rows, 1):
        figures = [row.figures[metric] for metric in METRICS]
        behind = row.behind
        writer.writerow(
            [place, row.label, row.arch, row.norm, "" if row.eps is None else row.eps]
            + [" ".join(file.name for file in row.files)]
            + [" ".join(file.sha256 for file in row.files)]
            + [value for one in figures for value in (one.value, one.low, one.high)]
            + [row.sure]
            + ([behind.value, behind.low, behind.high] if behind is not None else [""] * 3)
        )
    return out.getvalue()


def _escaped(text: str) -> str:
    for mark in _MARKS:
        text = text.replace(mark, f"\\{mark}")
    return text.replace("<", "&lt;").replace("\n", " ")
