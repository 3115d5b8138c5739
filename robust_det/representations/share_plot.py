"""Shares in percent with their intervals, one below the other, from one cue to the other."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass

import matplotlib
from matplotlib.figure import Figure

from robust_det.core.axes import row_axes
from robust_det.core.figures import COLOURS, INK, MARKERS, STYLE
from robust_det.core.resampling import Interval

__all__ = ["ShareRow", "Shares"]


@dataclass(frozen=True)
class ShareRow:
    """A share.

    Attributes:
        label: in words.
        figure: in percent, with its interval.
        kind: which mark it has, from 0.
    """

    label: str
    figure: Interval
    kind: int


@dataclass(frozen=True)
class Shares:
    """Shares beside the line of a half.

    Attributes:
        name: of the file.
        title, x: in words.
        kinds: what the marks stand for.
        rows: at least one.
    """

    name: str
    title: str
    x: str
    kinds: tuple[str, ...]
    rows: Sequence[ShareRow]

    @property
    def description(self) -> str:
        """Read aloud in place of the picture."""
        said = [
            f"{row.label}: {row.figure.value:.1f}"
            for row in self.rows
            if not math.isnan(row.figure.value)
        ]
        return f"{self.title}; {'; '.join(said)}"

    def draw(self, ink: str = INK) -> Figure:
        """Draw it.

        Args:
            ink: the colour of text and axes.
        """
        with matplotlib.rc_context({**STYLE, "text.color": ink}):
            figure = Figure(figsize=(7.2, 1.7 + 0.34 * len(self.rows)), layout="constrained")
            axes = figure.add_subplot()
            axes.axvline(50, color=ink, linewidth=1, linestyle=(0, (4, 4)), alpha=0.6, zorder=1)
            for y, row in enumerate(self.rows):
                colour, marker = COLOURS[row.kind % len(COLOURS)], MARKERS[row.kind % len(MARKERS)]
                one = row.figure
                if not math.isnan(one.low):
                    axes.plot([one.low, one.high], [y, y], color=colour, linewidth=1.8)
                if not math.isnan(one.value):
                    axes.plot([one.value], [y], marker=marker, markersize=7, color=colour)
            axes.set_yticks(range(len(self.rows)), [row.label for row in self.rows])
            axes.set_ylim(len(self.rows) - 0.5, -0.5)
            axes.set_xlim(0, 100)
            axes.set_xlabel(self.x, color=ink, fontsize=9.5)
            row_axes(axes, ink)
            styles = itertools.cycle(zip(MARKERS, COLOURS, strict=True))
            marks = [
                axes.plot([], [], marker, color=colour)[0]
                for marker, colour in itertools.islice(styles, len(self.kinds))
            ]
            figure.legend(
                marks,
                self.kinds,
                loc="outside upper left",
                frameon=False,
                labelcolor=ink,
                title=self.title,
                alignment="left",
                ncols=min(len(self.kinds), 4),
            )
        return figure
