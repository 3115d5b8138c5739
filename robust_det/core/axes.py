"""Axes of plots against eps."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Literal

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from robust_det.core.epsilon import format_eps

__all__ = ["eps_axis", "plain_axes", "row_axes"]


def eps_axis(axes: Axes, points: Sequence[tuple[str | None, float]]) -> None:
    """Make the x axis one of eps: linear from 0 to the smallest, and logarithmic from there.

    Args:
        axes: to change.
        points: norm and eps of all that is drawn.
    """
    positive = [eps for _, eps in points if eps > 0]
    smallest, largest = min(positive, default=1.0), max(positive, default=1.0)
    axes.set_xscale("symlog", linthresh=smallest, linscale=0.6)
    axes.set_xlim(-0.12 * smallest, largest * 1.2)
    places = {0.0: "0"}
    for norm, eps in points:
        places.setdefault(eps, format_eps(norm, eps))
    transform = axes.xaxis.get_transform()
    low, high = transform.transform(axes.get_xlim())
    grid = axes.get_subplotspec()
    columns = grid.get_gridspec().ncols if grid is not None else 1
    figure = axes.get_figure()
    inches = figure.get_figwidth() if isinstance(figure, Figure) else 5.5
    narrow = max(1.0, 5.5 * columns / inches)
    ticks: list[float] = []
    for eps in sorted(places):
        if ticks:
            gap = np.diff(transform.transform([ticks[-1], eps]))[0] / (high - low)
            letters = (len(places[ticks[-1]]) + len(places[eps])) / 2
            if gap < 0.01 + 0.016 * narrow * letters:  # in widths of the axis: they would touch
                continue
        ticks.append(eps)
    axes.set_xticks(ticks, [places[eps] for eps in ticks])
    axes.set_xticks([], minor=True)


def plain_axes(axes: Axes, ink: str) -> None:
    """Give figures of percent their y axis, and axes their style.

    Args:
        axes: to change.
        ink: the colour of text and lines.
    """
    bottom, top = axes.get_ylim()
    if top - bottom < 2:  # an axis of a tenth of a point would make noise look like a result
        middle = (top + bottom) / 2
        axes.set_ylim(middle - 1, middle + 1)
    axes.yaxis.set_major_locator(MaxNLocator(nbins=6, steps=[1, 2, 5, 10]))
    axes.yaxis.set_major_formatter("{x:.1f}")
    _style(axes, ink, "y", ("left", "bottom"))


def row_axes(axes: Axes, ink: str) -> None:
    """Give axes whose rows are names, and are read across, their style.

    Args:
        axes: to change.
        ink: the colour of text and lines.
    """
    axes.set_axisbelow(True)
    _style(axes, ink, "x", ("bottom",))


def _style(axes: Axes, ink: str, across: Literal["x", "y"], sides: Collection[str]) -> None:
    axes.grid(axis=across, color=ink, alpha=0.13, linewidth=0.8)
    axes.tick_params(colors=ink, length=3)
    for side, spine in axes.spines.items():
        spine.set_visible(side in sides)
        spine.set_color(ink)
        spine.set_alpha(0.45)
