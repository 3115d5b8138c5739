"""Score against eps, a line for each architecture and norm."""

from __future__ import annotations

from collections.abc import Sequence

import matplotlib
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from robust_det.core.axes import eps_axis
from robust_det.core.epsilon import norm_label
from robust_det.core.figures import COLOURS, INK, MARKERS, STYLE
from robust_det.ranking.comparison import Row
from robust_det.ranking.words import TITLES

__all__ = ["score_figure"]

_LEAST_RANGE = 2.0  # points: on a smaller axis, noise would look like a result


def score_figure(rows: Sequence[Row], headline: str, title: str) -> Figure:
    """Plot the headline of rows with an eps; bars are 95% intervals, the best has a ring.

    The axis is linear from 0 to the smallest eps, and logarithmic from there. A line starts at its
    architecture's standard backbone, which serves all norms.

    Args:
        rows: the best first; those of unknown eps are not drawn.
        headline: the metric.
        title: above the plot.
    """
    known = [row for row in rows if row.eps is not None]
    with matplotlib.rc_context({**STYLE, "text.color": INK}):
        figure = Figure(figsize=(6.2, 4.1), layout="constrained")
        axes = figure.add_subplot()
        for number, (label, line) in enumerate(_lines(known).items()):
            _draw(axes, line, headline, label, number)
        if rows[0].eps is not None:
            best = rows[0].figures[headline].value
            axes.plot(rows[0].eps, best, "o", ms=14, mfc="none", mec=INK, mew=1.2, zorder=4)
        _finish(axes, known)
        axes.set_xlabel("ε of pretraining (0 = standard)\nbars: 95% interval", color=INK)
        axes.set_ylabel(f"{TITLES[headline]} accuracy of a ridge, %", color=INK)
        axes.set_title(title, color=INK, loc="left", fontsize=10.5)
        if known:
            axes.legend(frameon=False, labelcolor=INK)
    return figure


def _lines(rows: Sequence[Row]) -> dict[str, list[Row]]:
    """Return the rows of each line, by its label, by increasing eps."""
    lines: dict[str, list[Row]] = {}
    ordered = sorted(rows, key=lambda row: row.eps or 0.0)
    for arch in dict.fromkeys(row.arch for row in rows):
        own = [row for row in ordered if row.arch == arch]
        norms = dict.fromkeys(row.norm for row in own if row.eps)
        for norm in norms:
            lines[f"{arch}, {norm_label(norm) or 'unknown norm'}"] = [
                r for r in own if not r.eps or r.norm == norm
            ]
        if not norms:
            lines[f"{arch}, standard"] = own
    return lines


def _draw(axes: Axes, rows: Sequence[Row], headline: str, label: str, number: int) -> None:
    figures = [row.figures[headline] for row in rows]
    axes.errorbar(
        [row.eps or 0.0 for row in rows],
        [one.value for one in figures],
        # an interval of resamples may lie beside the value, and a bar has no negative length
        yerr=[
            [max(one.value - one.low, 0) for one in figures],
            [max(one.high - one.value, 0) for one in figures],
        ],
        color=COLOURS[number % len(COLOURS)],
        marker=MARKERS[number % len(MARKERS)],
        markersize=6,
        linewidth=2,
        elinewidth=1.3,
        capsize=4,
        label=label,
    )


def _finish(axes: Axes, rows: Sequence[Row]) -> None:
    eps_axis(axes, [(row.norm, row.eps) for row in rows if row.eps is not None])
    bottom, top = axes.get_ylim()
    if top - bottom < _LEAST_RANGE:
        middle = (top + bottom) / 2
        axes.set_ylim(middle - _LEAST_RANGE / 2, middle + _LEAST_RANGE / 2)
    axes.grid(axis="y", color=INK, alpha=0.13, linewidth=0.8)
    axes.tick_params(colors=INK, length=3)
    for side, spine in axes.spines.items():
        spine.set_visible(side in ("left", "bottom"))
        spine.set_color(INK)
        spine.set_alpha(0.45)
