"""The picture of the overview: each figure against the eps of pretraining, a panel a task."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from robust_det.analysis.curves import Curve, Panel, Plot
from robust_det.analysis.estimates import estimate
from robust_det.core.epsilon import norm_label
from robust_det.core.errors import counted
from robust_det.site.overview import Group

__all__ = ["overview_plot"]

_MOST = 12  # panels
_MOST_CURVES = 6  # that one tells apart


def overview_plot(groups: Sequence[Group]) -> tuple[Plot | None, str]:
    """Return the picture of all tasks with a standard and a robust backbone, and what it lacks.

    Drawn are the figures that runs are compared by, then others, of the most runs, in the order of
    the groups. A norm's curve starts at the
    standard backbones of its setting and architecture.

    Returns:
        The plot, None without such a task; and how much is not drawn, empty if nothing.
    """
    panels: dict[tuple[Any, ...], dict[tuple[Any, ...], list[Group]]] = {}
    for one in groups:
        row = one.row
        if row["eps"] is not None:
            place = (row["dataset"], row["task"], row["mode"], row["protocol"], one.metric)
            curve = (row["arch"], one.setting)
            panels.setdefault(place, {}).setdefault(curve, []).append(one)
    telling = {}
    for place, curves in panels.items():
        found = {key: of for key, of in curves.items() if len({g.row["eps"] for g in of}) > 1}
        if found:
            telling[place] = found
    # of each task the figure that its runs are compared by, before all others
    most = sorted(
        telling, key=lambda place: (not _headline(telling[place]), -_runs(telling[place]))
    )
    most = most[:_MOST]
    drawn = [place for place in telling if place in most]
    if not drawn:
        return None, ""
    left = len(telling) - len(drawn)
    plot = Plot(
        "overview",
        "Standard backbones (ε 0) and robust ones",
        "ε of pretraining",
        tuple(_panel(place, telling[place]) for place in drawn),
        "bars: 95% t interval over backbones; dots: single ones",
    )
    return plot, f"{counted(left, 'more figure')}" if left else ""


def _runs(curves: dict[tuple[Any, ...], list[Group]]) -> int:
    return sum(len(one.runs) for groups in curves.values() for one in groups)


def _headline(curves: dict[tuple[Any, ...], list[Group]]) -> bool:
    return any(one.headline for groups in curves.values() for one in groups)


def _panel(place: tuple[Any, ...], found: dict[tuple[Any, ...], list[Group]]) -> Panel:
    dataset, _, mode, protocol, metric = place
    curves, eps = [], []
    for (arch, setting), groups in found.items():
        standard = [one for one in groups if one.row["eps"] == 0]
        for norm in dict.fromkeys(one.row["norm"] for one in groups if one.row["eps"]):
            of_norm = [
                *standard,
                *(one for one in groups if one.row["norm"] == norm and one.row["eps"]),
            ]
            label = " ".join(filter(None, (arch, norm_label(norm), setting and f"({setting})")))
            points = tuple(
                (one.row["eps"], estimate(one.values), tuple(one.values)) for one in of_norm
            )
            curves.append(Curve(label, points))
            eps += [(one.row["norm"] or None, one.row["eps"]) for one in of_norm]
    title = ", ".join(filter(None, (dataset, mode or protocol)))
    return Panel(title, f"{metric} %", tuple(curves[:_MOST_CURVES]), tuple(dict.fromkeys(eps)))
