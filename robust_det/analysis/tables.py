"""Tables as text for terminals and in Markdown, and the AP table, which is a CSV file too."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Sequence

from tabulate import tabulate

from robust_det.analysis.grouping import Row, Setting, setting_differences
from robust_det.analysis.labels import counted, norm_label
from robust_det.analysis.summary import Summary
from robust_det.records.metrics import task_of

__all__ = [
    "ap_table",
    "csv_text",
    "escape_markdown",
    "format_delta",
    "format_mean",
    "heading",
    "render_table",
    "setting_blocks",
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
    "n",
    "delta",
    "delta_std",
    "seeds",
)
_NONE = "—"


def _signed(value: float) -> str:
    text = f"{value:+.1f}"
    return "0.0" if float(text) == 0 else text.replace("-", "−")


def format_mean(summary: Summary) -> str:
    """``37.9``, ``37.9 ± 0.3`` with a spread, or a dash where nothing is defined."""
    if not summary.n:
        return _NONE
    spread = "" if math.isnan(summary.std) else f" ± {summary.std:.1f}"
    return f"{summary.mean:.1f}{spread}"


def format_delta(delta: Summary | None) -> str:
    """``+0.4``, ``+0.4 ± 0.3`` with a spread, or a dash without a baseline."""
    if delta is None or math.isnan(delta.mean):
        return _NONE
    spread = "" if math.isnan(delta.std) else f" ± {delta.std:.1f}"
    return f"{_signed(delta.mean)}{spread}"


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


def _differences_in_brief(first: Setting, other: Setting, most: int = 6) -> str:
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
            lines.append(_differences_in_brief(settings[0], setting))
        if lines:
            blocks.append("\n".join(f"{bullet}{safe(line)}" for line in lines))
    return blocks


def csv_text(settings: Sequence[Setting]) -> str:
    """Return every metric in full precision, one line per setting, backbone, task and metric.

    Undefined numbers are empty. ``norm`` is empty at eps 0.
    """
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(_CSV_COLUMNS)
    for setting in settings:
        for task in setting.tasks:
            for row in setting.rows_of(task):
                run = row.first
                names = dict.fromkeys(m for r in row.runs for m in r.metrics.get(task, {}))
                for metric in names:
                    summary, delta = row.summary(task, metric), row.delta(task, metric)
                    numbers = [summary.mean, summary.std, summary.n]
                    numbers += [delta.mean, delta.std] if delta else [math.nan, math.nan]
                    writer.writerow(
                        [setting.letter, setting.test_data, run.arch, norm_label(run.norm or "")]
                        + [run.eps, run.weights_hash, task, metric]
                        + ["" if math.isnan(v) else v for v in numbers]
                        + [" ".join(str(r.seed) for r in row.runs)]
                    )
    return out.getvalue()
