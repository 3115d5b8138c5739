"""AP, or another task's figure, against eps, one line per architecture and norm."""

from __future__ import annotations

import math
from collections.abc import Sequence

import matplotlib
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from robust_det.analysis.grouping import Row, Setting
from robust_det.analysis.significance.bootstrap import Interval
from robust_det.analysis.significance.study import TaskStudy
from robust_det.analysis.summary import Summary
from robust_det.core.axes import eps_axis, plain_axes
from robust_det.core.epsilon import norm_label
from robust_det.core.figures import COLOURS, INK, MARKERS, STYLE
from robust_det.records.metrics import task_of

__all__ = ["ap_figure"]


def ap_figure(
    setting: Setting, task: str, ink: str = INK, study: TaskStudy | None = None
) -> Figure:
    """Plot the task's headline metric against eps.

    Every line starts at its architecture's eps-0 run, which serves all norms. The axis is linear
    from 0 to the smallest eps and logarithmic from there. Thin bars with caps are the sample
    standard deviation over seeds, where there are three or more, and the range of two; broad ones
    the 95% interval over images, where it was computed. The axis says which there are.

    Args:
        setting: whose rows to plot.
        task: such as ``"bbox"``.
        ink: the colour of text and axes.
        study: of the task, if there is one.
    """
    with matplotlib.rc_context({**STYLE, "text.color": ink}):
        figure = Figure(figsize=(6.2, 4.1), layout="constrained")
        axes = figure.add_subplot()
        lines = _lines([row for row in setting.rows_of(task) if row.summary(task).n])
        images = _intervals(study, [row for rows in lines.values() for row in rows])
        for number, (label, rows) in enumerate(lines.items()):
            _draw(axes, rows, task, label, number)
            _draw_intervals(
                axes, [(r.first.eps, images[r.label]) for r in rows if r.label in images], number
            )
        for mean in {r.baseline.summary(task).mean for r in setting.rows_of(task) if r.baseline}:
            axes.axhline(mean, color=ink, linewidth=1, linestyle=(0, (4, 4)), alpha=0.4, zorder=1)
        drawn = [row for rows in lines.values() for row in rows]
        eps_axis(axes, [(row.first.norm, row.first.eps) for row in drawn])
        plain_axes(axes, ink)
        meaning = _meaning_of_bars([row.summary(task) for row in drawn], bool(images))
        axes.set_xlabel("\n".join(["ε of pretraining (0 = standard)", *meaning]), color=ink)
        axes.set_ylabel(task_of(task).name, color=ink)
        axes.set_title(
            f"{setting.test_data} · setting {setting.letter}", color=ink, loc="left", fontsize=10.5
        )
        if lines:
            axes.legend(frameon=False, labelcolor=ink)
    return figure


def _lines(rows: list[Row]) -> dict[str, list[Row]]:
    lines: dict[str, list[Row]] = {}
    for arch in dict.fromkeys(row.first.arch for row in rows):
        of_arch = [row for row in rows if row.first.arch == arch]
        standard = [row for row in of_arch if row.first.eps == 0]
        norms = dict.fromkeys(row.first.norm for row in of_arch if row.first.eps > 0)
        for norm in norms:
            label = norm_label(norm) if norm else "unknown norm"
            lines[f"{arch}, {label}"] = standard + [r for r in of_arch if r.first.norm == norm]
        if not norms:
            lines[f"{arch}, standard"] = standard
    return lines


def _draw(axes: Axes, rows: list[Row], task: str, label: str, number: int) -> None:
    colour, marker = COLOURS[number % len(COLOURS)], MARKERS[number % len(MARKERS)]
    eps = [row.first.eps for row in rows]
    summaries = [row.summary(task) for row in rows]
    means = [s.mean for s in summaries]
    axes.plot(eps, means, color=colour, marker=marker, markersize=6, linewidth=2, label=label)
    spread = [(e, s.mean, *_bar(s)) for e, s in zip(eps, summaries, strict=True) if s.n > 1]
    if spread:
        x, y, *ends = zip(*spread, strict=True)
        axes.errorbar(x, y, yerr=ends, fmt="none", ecolor=colour, elinewidth=1.3, capsize=4)


def _intervals(study: TaskStudy | None, rows: list[Row]) -> dict[str, Interval]:
    """The intervals over images of the AP of each backbone, where there are any, by its label."""
    out = {}
    for row in rows:
        figure = study.figure_of(row) if study is not None else None
        if figure is not None and not math.isnan(figure.intervals["AP"].low):
            out[row.label] = figure.intervals["AP"]
    return out


def _draw_intervals(axes: Axes, intervals: list[tuple[float, Interval]], number: int) -> None:
    colour = COLOURS[number % len(COLOURS)]
    for eps, one in intervals:
        axes.plot(
            [eps, eps],
            [one.low, one.high],
            color=colour,
            linewidth=9,
            alpha=0.28,
            solid_capstyle="butt",
            zorder=1.5,
        )


def _bar(summary: Summary) -> tuple[float, float]:
    """How far the bar reaches below and above the mean."""
    if math.isnan(summary.std):
        return summary.mean - summary.low, summary.high - summary.mean
    return summary.std, summary.std


def _meaning_of_bars(summaries: Sequence[Summary], images: bool) -> list[str]:
    kinds = sorted({math.isnan(s.std) for s in summaries if s.n > 1})
    words = {False: "± standard deviation over seeds", True: "range of two seeds"}
    seeds = ["thin bars: " + ", ".join(words[kind] for kind in kinds)] if kinds else []
    return seeds + (["broad bars: 95% interval over images"] if images else [])
