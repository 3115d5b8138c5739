"""Heat maps of figures from 0 to 1, whose shades and numbers say the same without colours."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine

from robust_det.core.figures import INK, STYLE

__all__ = ["HeatMap", "HeatMaps"]

# its lightness rises evenly, in grey as well, and it looks the same with any kind of colour vision
# (Nunez et al. 2018)
_SHADES = "cividis"
_COLUMNS = 3
_NONE = "#d5d9de"


@dataclass(frozen=True)
class HeatMap:
    """A panel.

    Attributes:
        title, y, x: in words.
        rows, columns: names.
        values: by row and column, in [-1, 1]; NaN where undefined.
    """

    title: str
    y: str
    x: str
    rows: tuple[str, ...]
    columns: tuple[str, ...]
    values: tuple[tuple[float, ...], ...]


@dataclass(frozen=True)
class HeatMaps:
    """Panels of one scale from 0 to 1; what is below 0 has the shade of 0.

    Attributes:
        name: of the file.
        title, scale: in words.
        panels: at least one.
    """

    name: str
    title: str
    scale: str
    panels: tuple[HeatMap, ...]

    @property
    def description(self) -> str:
        """Read aloud in place of the picture."""
        said = []
        for panel in self.panels:
            same = [
                f"{row} {panel.values[i][j]:.2f}"
                for i, row in enumerate(panel.rows)
                for j, column in enumerate(panel.columns)
                if row == column
            ]
            said.append(f"{' '.join(panel.title.split())}: {', '.join(same)}")
        return f"{self.title}; {'; '.join(said)}"

    def draw(self, ink: str = INK) -> Figure:
        """Draw it.

        Args:
            ink: the colour of text and axes.
        """
        across = 2 if len(self.panels) == 4 else min(len(self.panels), _COLUMNS)
        down = math.ceil(len(self.panels) / across)
        with matplotlib.rc_context({**STYLE, "text.color": ink}):
            size = (max(2.75 * across + 1.1, 4.6), 2.95 * down + 0.5)
            layout = ConstrainedLayoutEngine(wspace=0.06, hspace=0.06)
            figure = Figure(figsize=size, layout=layout)
            drawn = []
            for number, panel in enumerate(self.panels, start=1):
                axes = figure.add_subplot(down, across, number)
                _draw(axes, panel, ink)
                drawn.append(axes)
            bar = figure.colorbar(
                ScalarMappable(Normalize(0, 1), _SHADES),
                ax=drawn,
                shrink=min(0.85, 1.7 / down),
                aspect=26,
            )
            bar.set_label(self.scale, color=ink, fontsize=9.5)
            bar.ax.tick_params(colors=ink, length=3)
            bar.outline.set_visible(False)
            figure.suptitle(self.title, x=0.01, ha="left", fontsize=11, color=ink)
        return figure


def _draw(axes: Axes, panel: HeatMap, ink: str) -> None:
    values = np.asarray(panel.values)
    shades = matplotlib.colormaps[_SHADES].with_extremes(bad=_NONE)
    axes.imshow(np.ma.masked_invalid(values), cmap=shades, vmin=0, vmax=1)
    for (row, column), value in np.ndenumerate(values):
        if np.isnan(value):
            axes.text(column, row, "—", ha="center", va="center", color=INK, fontsize=9.5)
            continue
        light = _lightness(shades(min(max(float(value), 0.0), 1.0)))
        shown = f"{value:.2f}".replace("-", "−")
        colour = "#ffffff" if light < 0.5 else "#000000"
        axes.text(column, row, shown, ha="center", va="center", color=colour, fontsize=9.5)
    axes.set_xticks(range(len(panel.columns)), panel.columns)
    axes.set_yticks(range(len(panel.rows)), panel.rows)
    axes.set_xlabel(panel.x, color=ink, fontsize=9.5)
    axes.set_ylabel(panel.y, color=ink, fontsize=9.5)
    axes.set_title(panel.title, color=ink, loc="left", fontsize=9.5)
    axes.tick_params(colors=ink, length=0)
    for spine in axes.spines.values():
        spine.set_visible(False)


def _lightness(colour: Sequence[float]) -> float:
    """Return how light a colour is, in [0, 1] (luma of ITU-R BT.601)."""
    red, green, blue, *_ = colour
    return 0.299 * red + 0.587 * green + 0.114 * blue
