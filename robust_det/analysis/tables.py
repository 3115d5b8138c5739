"""Tables as text for terminals and in Markdown, and the AP table, which is a CSV file too."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from tabulate import tabulate

from robust_det.analysis.grouping import Row, Setting, setting_differences
from robust_det.analysis.summary import Summary
from robust_det.core.epsilon import norm_label
from robust_det.core.errors import counted
from robust_det.records.metrics import task_of

__all__ = [
    "HOW_TO_READ_MEANS",
    "HOW_TO_READ_SEEDS",
    "ap_table",
    "csv_of",
    "csv_text",
    "differences_in_brief",
    "escape_markdown",
    "format_delta",
    "format_mean",
    "heading",
    "render_table",
    "setting_blocks",
    "signed",
    "title",
]

_CSV_COLUMNS = (
    "setting",
    "test_data",
    "arch",
    "norm",
    "eps",
    "weights_sha256",
    "task",
    "metric",
    "mean",
    "std",
    "low",
    "high",
    "n",
    "delta",
    "delta_std",
    "delta_low",
    "delta_high",
    "seeds",
)
_NONE = "—"
HOW_TO_READ_MEANS = (
    "n is the number of fine-tuning seeds, and a figure is the mean over them. ± is the sample"
    " standard deviation over seeds; below three seeds there is none, and the range (lowest to"
    " highest) stands in its place."
)
HOW_TO_READ_SEEDS = (
    f"{HOW_TO_READ_MEANS} Of Δ they are those of the difference of one run of each backbone. None"
    " of this is a confidence interval: that is what --significance adds."
)


def signed(value: float, digits: int = 1) -> str:
    """``+0.4``, ``−0.4`` or ``0.0``, to so many digits behind the point."""
    text = f"{value:+.{digits}f}"
    return text.lstrip("+-") if float(text) == 0 else text.replace("-", "−")


def _plain(value: float) -> str:
    return f"{value:.1f}"


def format_mean(summary: Summary) -> str:
    """``37.9``, ``37.9 (37.6 to 38.2)`` of two, ``37.9 ± 0.3`` of more; a dash if undefined."""
    return _with_spread(summary, _plain) if summary.n else _NONE


def format_delta(delta: Summary | None) -> str:
    """``+0.4``, with its spread as :func:`format_mean`, or a dash without a baseline."""
    if delta is None or math.isnan(delta.mean):
        return _NONE
    return _with_spread(delta, signed)


def _with_spread(summary: Summary, write: Callable[[float], str]) -> str:
    if not math.isnan(summary.std):
        return f"{write(summary.mean)} ± {summary.std:.1f}"
    if summary.n > 1 or summary.low < summary.high:
        return f"{write(summary.mean)} ({write(summary.low)} to {write(summary.high)})"
    return write(summary.mean)


def ap_table(setting: Setting, task: str) -> tuple[list[str], list[list[str]]]:
    """Return headers and cells of a setting's table, one row a backbone."""
    known = task_of(task)
    headers = ["arch", "backbone", *known.columns, f"Δ{known.headline}", "n"]
    return headers, [_cells(row, task) for row in setting.rows_of(task)]


def _cells(row: Row, task: str) -> list[str]:
    return [
        row.first.arch,
        row.label.removeprefix(f"{row.first.arch} "),
        *(format_mean(row.summary(task, metric)) for metric in task_of(task).columns),
        format_delta(row.delta(task)),
        str(row.summary(task).n),
    ]


def differences_in_brief(first: Setting, other: Setting, most: int = 6) -> str:
    """``SOLVER.MAX_ITER 500 vs 1000, ...``: how a setting differs from the first."""
    found = setting_differences(first, other)
    shown = ", ".join(f"{key} {a} vs {b}" for key, a, b in found[:most])
    more = f", and {counted(len(found) - most, 'more key')}" if len(found) > most else ""
    return f"Setting {other.letter} differs from {first.letter} in: {shown}{more}"


def heading(setting: Setting, task: str) -> str:
    """What a table is about, in one line."""
    which = setting.conditions.detector
    detectors = f", detectors {which}" if which else ""
    return f"Setting {setting.letter} — {task_of(task).name} on {setting.test_data}{detectors}"


def escape_markdown(text: str) -> str:
    """Keep a record's text from acting as Markdown or HTML."""
    for mark in "\\`*_[]|#":
        text = text.replace(mark, f"\\{mark}")
    return text.replace("<", "&lt;").replace("\n", " ")


def title(text: str, style: str) -> str:
    """Return the heading of a table; see :func:`render_table`."""
    return f"## {escape_markdown(text)}" if style == "pipe" else text


def render_table(headers: list[str], cells: list[list[str]], names: int, style: str) -> str:
    """Return a table as text.

    Args:
        headers, cells: what is in it.
        names: how many columns, from the left, hold names; the rest are numbers.
        style: ``simple`` for a terminal, ``pipe`` for Markdown, in which names are escaped.
    """
    safe = escape_markdown if style == "pipe" else str
    # numbers stay text: tabulate would drop the sign of +0.4 and the zero of 38.0
    return tabulate(
        [[safe(cell) for cell in row] for row in cells],
        headers=headers,
        tablefmt=style,
        disable_numparse=True,
        colalign=["left"] * names + ["right"] * (len(headers) - names),
    )


def setting_blocks(settings: Sequence[Setting], findings: Sequence[str], style: str) -> list[str]:
    """Return findings, tables and notes as text, a paragraph or a table each.

    Args:
        settings: at least one.
        findings: in sentences.
        style: see :func:`render_table`.
    """
    markdown = style == "pipe"
    safe = escape_markdown if markdown else str
    bullet = "- " if markdown else ""

    blocks = ["\n".join(f"{bullet}{safe(line)}" for line in findings)]
    for setting in settings:
        for task in setting.tasks:
            blocks += [
                title(heading(setting, task), style),
                render_table(*ap_table(setting, task), 2, style),
            ]
        lines = list(setting.notes)
        if setting is not settings[0]:
            lines.append(differences_in_brief(settings[0], setting))
        if lines:
            blocks.append("\n".join(f"{bullet}{safe(line)}" for line in lines))
    return [*blocks, safe(HOW_TO_READ_SEEDS)]


def csv_text(settings: Sequence[Setting]) -> str:
    """Return every metric in full precision, one line per setting, backbone, task and metric.

    Undefined numbers are empty. ``norm`` is empty at eps 0.
    """
    lines = []
    for setting in settings:
        for task in setting.tasks:
            for row in setting.rows_of(task):
                run = row.first
                names = dict.fromkeys(m for r in row.runs for m in r.metrics.get(task, {}))
                for metric in names:
                    summary, delta = row.summary(task, metric), row.delta(task, metric)
                    numbers = [summary.mean, summary.std, summary.low, summary.high, summary.n]
                    numbers += (
                        [delta.mean, delta.std, delta.low, delta.high] if delta else [math.nan] * 4
                    )
                    lines.append(
                        [setting.letter, setting.test_data, run.arch, norm_label(run.norm or "")]
                        + [run.eps, run.weights_hash, task, metric]
                        + numbers
                        + [" ".join(str(r.seed) for r in row.runs)]
                    )
    return csv_of(_CSV_COLUMNS, lines)


def csv_of(head: Sequence[str], lines: Iterable[Sequence[Any]]) -> str:
    """Return a table as CSV; what is NaN or None is empty."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(head)
    for line in lines:
        writer.writerow(["" if isinstance(v, float) and math.isnan(v) else v for v in line])
    return out.getvalue()
