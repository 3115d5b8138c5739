"""Accuracy of transfers against eps and against the number of training images."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import matplotlib
import msgspec
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine
from matplotlib.lines import Line2D

from robust_det.analysis.differences import as_key
from robust_det.analysis.transfer.cells import attack_labels
from robust_det.analysis.transfer.conditions import Conditions
from robust_det.analysis.transfer.contests import Line, lines_of
from robust_det.analysis.transfer.estimates import Estimate
from robust_det.analysis.transfer.grouping import Row, Setting
from robust_det.analysis.transfer.runs import ADVERSARIAL_TOP1
from robust_det.core.axes import eps_axis, plain_axes
from robust_det.core.epsilon import attack_label
from robust_det.core.figures import COLOURS, INK, STYLE
from robust_det.records.pretrain import AttackEvaluator

__all__ = ["Plot", "plots_of"]

_MARKERS = ("o", "s", "^", "D", "v", "P")
_COLUMNS = 3
_BARS = "bars: 95% t interval over pretraining runs; dots: single ones"


_Point = tuple[float, Estimate, tuple[float, ...]]


@dataclass(frozen=True)
class _Curve:
    """A line of a panel.

    Attributes:
        label: in the legend.
        points: where on the x axis, the mean there, and the single pretraining runs.
    """

    label: str
    points: tuple[_Point, ...]


@dataclass(frozen=True)
class _Panel:
    """The axes of one set.

    Attributes:
        title, y: in words.
        curves: at least one.
        eps: norm and eps of the points; empty if the x axis is not one of eps.
    """

    title: str
    y: str
    curves: tuple[_Curve, ...]
    eps: tuple[tuple[str | None, float], ...] = ()


@dataclass(frozen=True)
class Plot:
    """A plot, which is drawn for a file and for the page.

    Attributes:
        name: of its file, without a suffix.
        title, x: in words.
        panels: one a set.
    """

    name: str
    title: str
    x: str
    panels: tuple[_Panel, ...]

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
                    _images_axis(axes, panel)
                plain_axes(axes, ink)
                axes.set_ylabel(panel.y, color=ink)
                axes.set_title(panel.title, color=ink, loc="left", fontsize=10.5)
            figure.supxlabel(f"{self.x}\n{_BARS}", color=ink, fontsize=9.5)
            figure.legend(
                drawn.values(),
                drawn.keys(),
                loc="outside upper left",
                frameon=False,
                labelcolor=ink,
                title=self.title,
                alignment="left",
            )
        return figure


def _draw(axes: Axes, curve: _Curve, number: int) -> Line2D:
    colour, marker = COLOURS[number % len(COLOURS)], _MARKERS[number % len(_MARKERS)]
    xs = [x for x, _, _ in curve.points]
    means = [y.mean for _, y, _ in curve.points]
    (line,) = axes.plot(xs, means, color=colour, marker=marker, markersize=5.5, linewidth=1.8)
    for x, y, single in curve.points:
        if len(single) > 1:
            axes.plot([x] * len(single), single, "o", mec=colour, mfc="none", markersize=4, mew=0.8)
        if not math.isnan(y.low):
            # no accuracy lies beyond 0 and 100, whatever the t distribution says
            ends = [[y.mean - max(y.low, 0)], [min(y.high, 100) - y.mean]]
            axes.errorbar([x], [y.mean], ends, fmt="none", ecolor=colour, capsize=3.5, alpha=0.8)
    return line


def _images_axis(axes: Axes, panel: _Panel) -> None:
    """Make the x axis one of numbers of images, with the numbers that there are."""
    numbers = sorted({x for curve in panel.curves for x, _, _ in curve.points})
    axes.set_xscale("log")
    axes.set_xticks(numbers, [f"{number:,.0f}" for number in numbers])
    axes.set_xticks([], minor=True)


def plots_of(settings: Sequence[Setting]) -> list[Plot]:
    """Return the plots that the settings have points for.

    Args:
        settings: of any sets, modes, subsets and sizes.
    """
    out = []
    kinds = dict.fromkeys(_images_of(setting) for setting in settings)
    for subset, side in kinds:
        alike = [setting for setting in settings if _images_of(setting) == (subset, side)]
        suffix = (f"_{side}px" if side else "") + (f"_subset{subset:g}" if subset else "")
        words = alike[0].conditions.images
        eps = "ε of pretraining (0 = standard)"
        if panels := _panels(alike, attacked=False):
            title = f"Accuracy on test images{words}"
            out.append(Plot(f"transfer_accuracy{suffix}", title, eps, panels))
        if panels := _panels(alike, attacked=True):
            title = f"Accuracy under attack{words}"
            out.append(Plot(f"transfer_robust{suffix}", title, eps, panels))
    for side in dict.fromkeys(side for _, side in kinds):
        of_side = [one for one in settings if one.conditions.data.downscale == side]
        if panels := _subset_panels(of_side):
            name = "transfer_subsets" + (f"_{side}px" if side else "")
            out.append(Plot(name, "Accuracy by training images", "training images", panels))
    return out


def _images_of(setting: Setting) -> tuple[float, int]:
    return setting.conditions.data.subset, setting.conditions.data.downscale


def _by_set(settings: Sequence[Setting]) -> dict[tuple[str, str], list[Setting]]:
    """Settings by set and metric, which are axes of their own."""
    out: dict[tuple[str, str], list[Setting]] = {}
    for one in settings:
        own = one.conditions
        out.setdefault((own.set_title, own.headline), []).append(one)
    return out


def _panels(settings: Sequence[Setting], attacked: bool) -> tuple[_Panel, ...]:
    panels = []
    for (name, headline), alike in _by_set(settings).items():
        curves, eps = list[_Curve](), list[tuple[str | None, float]]()
        for setting, how in _named(alike):
            for line in lines_of(setting):
                label = f"{how}, {line.label}"
                found = _robust(line, label) if attacked else [_clean(setting, line, label)]
                curves += [curve for curve in found if curve.points]
                eps += [(row.norm, row.eps or 0.0) for row in line.rows]
        if curves and len({x for curve in curves for x, _, _ in curve.points}) > 1:
            y = "adversarial top-1 %" if attacked else f"{headline} %"
            panels.append(_Panel(name, y, tuple(curves), tuple(eps)))
    return tuple(panels)


def _named(settings: Sequence[Setting]) -> list[tuple[Setting, str]]:
    """Settings with mode and head, and with their names where an earlier one has the same."""
    out, seen = [], set[str]()
    for one in settings:
        how = one.conditions.how
        out.append((one, f"{how} of {one.name}" if how in seen else how))
        seen.add(how)
    return out


def _clean(setting: Setting, line: Line, label: str) -> _Curve:
    headline = setting.conditions.data.headline
    points = [
        (row.eps or 0.0, setting.figure(row), tuple(one.mean(headline) for one in row.backbones))
        for row in line.rows
    ]
    return _Curve(label, tuple(points))


def _robust(line: Line, label: str) -> list[_Curve]:
    """One curve a common attack, and one of those backbones that met their own eps alone."""
    by_attack: dict[AttackEvaluator, list[Row]] = {}
    for row in line.rows:
        for attack in row.attacks:
            by_attack.setdefault(attack, []).append(row)
    common = {attack: rows for attack, rows in by_attack.items() if len(rows) > 1}
    names = attack_labels(list(common))
    curves = [
        _Curve(f"{label}, under {names[attack]}", tuple(_under(row, attack) for row in rows))
        for attack, rows in common.items()
    ]
    # figures under another objective are no points of the same curve
    own: dict[str, list[_Point]] = {}
    for attack, rows in by_attack.items():
        for row in rows:
            if attack not in common and (attack.norm, attack.eps) == (row.norm, row.eps):
                name = attack_label(attack.name, attack.steps, attack.objective)
                own.setdefault(name, []).append(_under(row, attack))
    for name, points in own.items():
        words = f", {name}" if len(own) > 1 else ""
        curves.append(_Curve(f"{label}, under its own ε{words}", tuple(points)))
    return curves


def _under(row: Row, attack: AttackEvaluator) -> _Point:
    single = tuple(one.mean_under(attack, ADVERSARIAL_TOP1) for one in row.backbones)
    return row.eps or 0.0, row.figure_under(attack, ADVERSARIAL_TOP1), single


def _subset_panels(settings: Sequence[Setting]) -> tuple[_Panel, ...]:
    """One panel for settings that differ in their subset alone."""
    grouped: dict[bytes, list[Setting]] = {}
    for one in sorted(settings, key=lambda one: one.conditions.data.train):
        grouped.setdefault(_but_for_subset(one.conditions), []).append(one)
    panels = []
    for alike in grouped.values():
        points: dict[str, list[tuple[float, Estimate, tuple[float, ...]]]] = {}
        for setting in alike:
            own = setting.conditions.data
            for row in setting.rows:
                single = tuple(one.mean(own.headline) for one in row.backbones)
                point = (float(own.train), setting.figure(row), single)
                points.setdefault(row.label, []).append(point)
        curves = [_Curve(label, tuple(one)) for label, one in points.items() if len(one) > 1]
        if curves:
            first = alike[0].conditions
            title = f"{first.set_title}, {first.how}"
            panels.append(_Panel(title, f"{first.headline} %", tuple(curves)))
    return tuple(panels)


def _but_for_subset(own: Conditions) -> bytes:
    data = msgspec.structs.replace(own.data, subset=0.0, train=0, skipped=0)
    config = {key: value for key, value in own.config.items() if key != "TRANSFER.SUBSET"}
    return as_key(replace(own, data=data, config=config))
