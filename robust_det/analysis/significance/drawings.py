"""Two pictures: the differences with their intervals, and what the errors cost each run."""

from __future__ import annotations

import math

import matplotlib
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from robust_det.analysis.significance.study import TaskStudy
from robust_det.analysis.significance.tide import KINDS
from robust_det.core.axes import row_axes
from robust_det.core.figures import COLOURS, INK, STYLE
from robust_det.records.metrics import task_of

__all__ = ["errors_figure", "forest_figure"]


def forest_figure(one: TaskStudy, ink: str = INK) -> Figure:
    """Draw each difference in AP with its 95% interval, beside the line of no difference.

    A filled mark is an interval that leaves 0 out.
    """
    shown = [d for d in one.differences if not math.isnan(d.intervals["AP"].value)]
    with matplotlib.rc_context({**STYLE, "text.color": ink}):
        figure, axes = _canvas(len(shown), [d.label for d in shown], ink)
        axes.axvline(0, color=ink, linewidth=1, linestyle=(0, (4, 4)), alpha=0.6, zorder=1)
        for place, difference in enumerate(shown):
            ap = difference.intervals["AP"]
            pooled = difference.seed is None
            colour = COLOURS[1] if pooled else COLOURS[0]
            clear = ap.low > 0 or ap.high < 0
            axes.plot([ap.low, ap.high], [place, place], color=colour, linewidth=2)
            axes.plot(
                [ap.value],
                [place],
                marker="D" if pooled else "o",
                markersize=7,
                color=colour,
                markerfacecolor=colour if clear else "none",
            )
        name = task_of(one.task).name
        axes.set_xlabel(
            f"Δ {name} to the standard backbone\n95% interval over images; filled: leaves 0 out",
            color=ink,
        )
        _finish(axes, one, ink)
    return figure


def errors_figure(one: TaskStudy, ink: str = INK) -> Figure:
    """Stack the AP50 that fixing each kind of error alone would add, one bar a run."""
    labels = [f"{e.row.label}, seed {e.run.seed}" for e in one.errors]
    with matplotlib.rc_context({**STYLE, "text.color": ink}):
        figure, axes = _canvas(len(labels), labels, ink, extra=0.5)
        starts = [0.0] * len(labels)
        for kind, colour in zip(KINDS, COLOURS, strict=True):
            widths = [e.breakdown.gains[kind] for e in one.errors]
            places = range(len(labels))
            axes.barh(places, widths, 0.62, left=starts, color=colour, label=KINDS[kind])
            starts = [s + w for s, w in zip(starts, widths, strict=True)]
        axes.set_xlabel("AP50 gained by fixing one kind of error alone, stacked", color=ink)
        figure.legend(frameon=False, labelcolor=ink, ncols=3, loc="outside upper right")
        _finish(axes, one, ink)
    return figure


def _canvas(rows: int, labels: list[str], ink: str, extra: float = 0.0) -> tuple[Figure, Axes]:
    figure = Figure(figsize=(6.8, 1.5 + 0.38 * max(rows, 1) + extra), layout="constrained")
    axes = figure.add_subplot()
    axes.set_yticks(range(rows), labels)
    axes.set_ylim(rows - 0.4, -0.6)  # the first on top, as in the table
    return figure, axes


def _finish(axes: Axes, one: TaskStudy, ink: str) -> None:
    title = f"{one.setting.test_data} · setting {one.setting.letter}"
    axes.set_title(title, color=ink, loc="left", fontsize=10.5)
    row_axes(axes, ink)
