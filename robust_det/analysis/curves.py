"""Curves with intervals, a panel a subject: over eps, or over numbers such as of images."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import matplotlib
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine
from matplotlib.lines import Line2D

from robust_det.analysis.estimates import Estimate
from robust_det.core.axes import eps_axis, plain_axes
from robust_det.core.figures import COLOURS, DASHES, INK, MARKERS, STYLE

__all__ = ["BARS", "Curve", "Panel", "Plot", "Point", "legend_above"]

BARS = "bars: 95% t interval over pretraining runs; dots: single ones"
_COLUMNS = 3


Point = tuple[float, Estimate, tuple[float, ...]]


@dataclass(frozen=True)
class Curve:
    """A line of a panel.

    Attributes:
        label: in the legend.
        points: where on the x axis, the mean there, and the single pretraining runs.
    """

    label: str
    points: tuple[Point, ...]


@dataclass(frozen=True)
class Panel:
    """The axes of one set.

    Attributes:
        title, y: in words.
        curves: at least one.
        eps: norm and eps of the points; empty if the x axis is not one of eps.
    """

    title: str
    y: str
    curves: tuple[Curve, ...]
    eps: tuple[tuple[str | None, float], ...] = ()


@dataclass(frozen=True)
class Plot:
    """A plot, which is drawn for a file and for the page.

    Attributes:
        name: of its file, without a suffix.
        title, x: in words.
        panels: one a set.
        marks: what bars and dots are, in words; empty where there are none.
    """

    name: str
    title: str
    x: str
    panels: tuple[Panel, ...]
    marks: str = BARS

    @property
    def description(self) -> str:
        """Read aloud in place of the picture."""
        said = []
        for panel in self.panels:
            for curve in panel.curves:
                means = ", ".join(f"{y.mean:.1f}" for _, y, _ in curve.points)
                said.append(f"{panel.title}, {curve.label}: {means}")
        return f"{self.title}; {'; '.join(said)}"

    def draw(self, ink: str = INK) -> Figure:
        """Draw it.

        Args:
            ink: the colour of text and axes.
        """
        columns = 2 if len(self.panels) == 4 else min(len(self.panels), _COLUMNS)
        rows = math.ceil(len(self.panels) / columns)
        labels = list(dict.fromkeys(c.label for panel in self.panels for c in panel.curves))
        with matplotlib.rc_context({**STYLE, "text.color": ink}):
            size = (3.4 * columns + 1.2, 3.0 * rows + 0.6 + 0.22 * len(labels))
            layout = ConstrainedLayoutEngine(wspace=0.06, hspace=0.05)
            figure = Figure(figsize=size, layout=layout)
            drawn = {}
            for number, panel in enumerate(self.panels, start=1):
                axes = figure.add_subplot(rows, columns, number)
                for curve in panel.curves:
                    drawn[curve.label] = _draw(axes, curve, labels.index(curve.label))
                if panel.eps:
                    eps_axis(axes, panel.eps)
                else:
                    _numbers_axis(axes, panel)
                plain_axes(axes, ink)
                axes.set_ylabel(panel.y, color=ink)
                axes.set_title(panel.title, color=ink, loc="left", fontsize=10.5)
            words = "\n".join(filter(None, (self.x, self.marks)))
            figure.supxlabel(words, color=ink, fontsize=9.5)
            legend_above(figure, drawn, self.title, ink)
        return figure


def legend_above(figure: Figure, drawn: Mapping[str, Line2D], title: str, ink: str) -> None:
    """Put a figure's title and its legend above its panels.

    Args:
        figure: in constrained layout.
        drawn: label -> what was drawn.
        title: of the figure.
        ink: colour of the text.
    """
    figure.legend(
        drawn.values(),
        drawn.keys(),
        loc="outside upper left",
        frameon=False,
        labelcolor=ink,
        title=title,
        alignment="left",
    )


def _draw(axes: Axes, curve: Curve, number: int) -> Line2D:
    # of more curves than colours, which return, the marks are others
    turned = number + number // len(COLOURS)
    colour, marker = COLOURS[number % len(COLOURS)], MARKERS[turned % len(MARKERS)]
    dashes = DASHES[turned % len(DASHES)]
    xs = [x for x, _, _ in curve.points]
    means = [y.mean for _, y, _ in curve.points]
    (line,) = axes.plot(
        xs, means, color=colour, marker=marker, markersize=5.5, linewidth=1.8, linestyle=dashes
    )
    for x, y, single in curve.points:
        if len(single) > 1:
            axes.plot([x] * len(single), single, "o", mec=colour, mfc="none", markersize=4, mew=0.8)
        if not math.isnan(y.low):
            # no accuracy lies beyond 0 and 100, whatever the t distribution says
            ends = [[y.mean - max(y.low, 0)], [min(y.high, 100) - y.mean]]
            axes.errorbar([x], [y.mean], ends, fmt="none", ecolor=colour, capsize=3.5, alpha=0.8)
    return line


def _numbers_axis(axes: Axes, panel: Panel) -> None:
    """Make the x axis one of numbers, such as of images, with those that there are."""
    numbers = sorted({x for curve in panel.curves for x, _, _ in curve.points})
    axes.set_xscale("log")
    axes.set_xticks(numbers, [f"{number:,.0f}" for number in numbers])
    axes.set_xticks([], minor=True)
