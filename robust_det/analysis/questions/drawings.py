"""The pictures of questions: differences with intervals, points with a fitted line, curves."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import matplotlib
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from robust_det.analysis.curves import BARS, Curve, Panel, Plot, legend_above
from robust_det.analysis.estimates import Estimate
from robust_det.analysis.questions.cells import Cell
from robust_det.core.axes import plain_axes, row_axes
from robust_det.core.epsilon import norm_label
from robust_det.core.figures import COLOURS, DASHES, INK, MARKERS, STYLE

__all__ = [
    "Fit",
    "Forest",
    "ForestRow",
    "Points",
    "Scatter",
    "arch_label",
    "eps_curves",
    "number_curves",
]

_EPS = "ε of pretraining (0 = standard)"


@dataclass(frozen=True)
class ForestRow:
    """A difference.

    Attributes:
        label: in words.
        value, low, high: in points; the interval is NaN where there is none.
        kind: which mark it has, from 0.
        shown: whether it is shown to be other than 0; a filled mark.
    """

    label: str
    value: float
    low: float
    high: float
    kind: int = 0
    shown: bool = False


@dataclass(frozen=True)
class Forest:
    """Differences with their intervals, one below the other, beside the line of no difference.

    Attributes:
        name: of its file.
        title, x: in words.
        kinds: what the marks stand for.
        groups: rows with a heading each.
        marks: what bars and fillings are, in words.
    """

    name: str
    title: str
    x: str
    kinds: tuple[str, ...]
    groups: tuple[tuple[str, tuple[ForestRow, ...]], ...]
    marks: str

    @property
    def description(self) -> str:
        """Read aloud in place of the picture."""
        rows = [
            f"{heading}, {row.label}: {row.value:+.1f}"
            for heading, rows in self.groups
            for row in rows
            if not math.isnan(row.value)
        ]
        return f"{self.title}; {'; '.join(rows)}"

    def draw(self, ink: str = INK) -> Figure:
        """Draw it.

        Args:
            ink: the colour of text and axes.
        """
        places, labels, rows = list[float](), list[str](), list[ForestRow]()
        headings = list[tuple[float, str]]()
        place = 0.0
        for heading, group in self.groups:
            headings.append((place, heading))
            for row in group:
                place += 1
                places.append(place)
                labels.append(row.label)
                rows.append(row)
            place += 1.5
        with matplotlib.rc_context({**STYLE, "text.color": ink}):
            figure = Figure(figsize=(7.2, 1.5 + 0.26 * place), layout="constrained")
            axes = figure.add_subplot()
            axes.axvline(0, color=ink, linewidth=1, linestyle=(0, (4, 4)), alpha=0.6, zorder=1)
            for y, row in zip(places, rows, strict=True):
                _mark(axes, row, y)
            _keep_to_values(axes, rows)
            for y, heading in headings:
                axes.text(
                    0, y, heading, transform=axes.get_yaxis_transform(), va="center", fontsize=9.5
                )
            axes.set_yticks(places, labels)
            axes.set_ylim(place - 0.5, -0.8)
            axes.set_xlabel(f"{self.x}\n{self.marks}", color=ink, fontsize=9.5)
            row_axes(axes, ink)
            handles = [
                axes.plot([], [], MARKERS[kind], color=COLOURS[kind], mfc="none")[0]
                for kind in range(len(self.kinds))
            ]
            figure.legend(
                handles,
                self.kinds,
                loc="outside upper left",
                frameon=False,
                labelcolor=ink,
                title=self.title,
                alignment="left",
                ncols=len(self.kinds),
            )
        return figure


def _mark(axes: Axes, row: ForestRow, y: float) -> None:
    colour = COLOURS[row.kind % len(COLOURS)]
    if not math.isnan(row.low):
        axes.plot([row.low, row.high], [y, y], color=colour, linewidth=1.8)
    if not math.isnan(row.value):
        axes.plot(
            [row.value],
            [y],
            marker=MARKERS[row.kind % len(MARKERS)],
            markersize=6.5,
            color=colour,
            markerfacecolor=colour if row.shown else "white",
        )


def _keep_to_values(axes: Axes, rows: Sequence[ForestRow]) -> None:
    """Cut off intervals that would make all else a point, as of two runs."""
    values = [row.value for row in rows if not math.isnan(row.value)]
    ends = [abs(end) for row in rows for end in (row.low, row.high) if not math.isnan(end)]
    reach = max([abs(value) for value in values] + [1.0])
    most = max([*ends, reach])
    limit = min(most, max(6 * reach, 5.0)) * 1.06
    axes.set_xlim(-limit, limit)


@dataclass(frozen=True)
class Fit:
    """A straight line."""

    slope: float
    intercept: float


@dataclass(frozen=True)
class Points:
    """Points with a fitted line.

    Attributes:
        label: in the legend.
        xs, ys: as many.
        names: of the points; empty where they are not named.
        fit: of them; None for points without one.
        drawn: whether the points are, or their line alone.
    """

    label: str
    xs: tuple[float, ...]
    ys: tuple[float, ...]
    names: tuple[str, ...] = ()
    fit: Fit | None = None
    drawn: bool = True


@dataclass(frozen=True)
class Scatter:
    """Points, a panel a subject.

    Attributes:
        name: of its file.
        title, x: in words.
        panels: title, what is upwards, and the points.
        logarithmic: the x axis.
    """

    name: str
    title: str
    x: str
    panels: tuple[tuple[str, str, tuple[Points, ...]], ...]
    logarithmic: bool = False

    @property
    def description(self) -> str:
        """Read aloud in place of the picture."""
        said = [
            f"{title}, {one.label}: {', '.join(f'{y:.1f} at {x:.1f}' for x, y in pairs)}"
            for title, _, points in self.panels
            for one in points
            for pairs in [zip(one.xs, one.ys, strict=True)]
        ]
        return f"{self.title}; {'; '.join(said)}"

    def draw(self, ink: str = INK) -> Figure:
        """Draw it.

        Args:
            ink: the colour of text and axes.
        """
        columns = 2 if len(self.panels) in (2, 4) else min(len(self.panels), 3)
        rows = math.ceil(len(self.panels) / columns)
        labels = list(dict.fromkeys(one.label for _, _, own in self.panels for one in own))
        with matplotlib.rc_context({**STYLE, "text.color": ink}):
            size = (3.6 * columns + 1.0, 3.1 * rows + 0.6 + 0.22 * len(labels))
            figure = Figure(figsize=size, layout="constrained")
            drawn = {}
            for number, (title, y, points) in enumerate(self.panels, start=1):
                axes = figure.add_subplot(rows, columns, number)
                for one in points:
                    drawn[one.label] = _points(axes, one, labels.index(one.label), ink)
                plain_axes(axes, ink)
                if self.logarithmic:
                    axes.set_xscale("log")
                    axes.xaxis.set_major_formatter("{x:g}")
                axes.set_ylabel(y, color=ink)
                axes.set_title(title, color=ink, loc="left", fontsize=10.5)
            figure.supxlabel(self.x, color=ink, fontsize=9.5)
            legend_above(figure, drawn, self.title, ink)
        return figure


def _points(axes: Axes, one: Points, number: int, ink: str) -> Line2D:
    colour = COLOURS[number % len(COLOURS)]
    (marks,) = axes.plot(
        one.xs,
        one.ys,
        MARKERS[number % len(MARKERS)] if one.drawn else "",
        color=colour,
        markersize=6,
        markerfacecolor=colour if number % 2 == 0 else "white",
    )
    if one.fit is not None:
        ends = (min(one.xs), max(one.xs))
        line = [one.fit.slope * x + one.fit.intercept for x in ends]
        dashes = DASHES[number % len(DASHES)]
        (drawn,) = axes.plot(ends, line, color=colour, linestyle=dashes, linewidth=1.4)
        if not one.drawn:
            return drawn
    for x, y, name in zip(one.xs, one.ys, one.names, strict=False):
        axes.annotate(
            name, (x, y), (4, 4), textcoords="offset points", fontsize=7, color=ink, alpha=0.75
        )
    return marks


def eps_curves(
    name: str, title: str, cells: Sequence[Cell], labels: Sequence[str], marks: str = BARS
) -> Plot | None:
    """Return cells against eps, a panel a subject; None where no panel has two eps.

    Args:
        name: of the file.
        title: in words.
        cells: of any subjects.
        labels: one a cell, for the legend.
        marks: see :class:`.Plot`.
    """
    panels = []
    for subject, metric in dict.fromkeys((cell.subject, cell.metric) for cell in cells):
        curves, eps = list[Curve](), list[tuple[str | None, float]]()
        for cell, label in zip(cells, labels, strict=True):
            if (cell.subject, cell.metric) == (subject, metric) and len(cell.arms) > 1:
                points = tuple(
                    (arm.eps, arm.figure, tuple(unit.value for unit in arm.units))
                    for arm in cell.arms
                )
                curves.append(Curve(label, points))
                eps += [(arm.norm or None, arm.eps) for arm in cell.arms]
        if curves:
            y = metric if metric in ("AP", "PQ", "mIoU") else f"{metric} %"
            panels.append(Panel(subject, y, tuple(curves), tuple(eps)))
    return Plot(name, title, _EPS, tuple(panels), marks) if panels else None


def number_curves(
    name: str,
    title: str,
    x: str,
    panels: Sequence[tuple[str, str, Sequence[tuple[str, Sequence[tuple[float, Estimate]]]]]],
    marks: str = "",
) -> Plot:
    """Return figures against numbers on a logarithmic axis, such as widths.

    Args:
        name: of the file.
        title, x: in words.
        panels: title, what is upwards, and the curves with their labels.
        marks: see :class:`.Plot`.
    """
    return Plot(
        name,
        title,
        x,
        tuple(
            Panel(
                head,
                y,
                tuple(
                    Curve(label, tuple((x, figure, ()) for x, figure in points))
                    for label, points in curves
                ),
            )
            for head, y, curves in panels
        ),
        marks,
    )


def arch_label(cell: Cell) -> str:
    """``resnet18, L2``."""
    return f"{cell.arch}, {norm_label(cell.norm) or 'standard'}"
