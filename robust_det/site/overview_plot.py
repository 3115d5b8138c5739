"""The picture of the overview: each figure against the eps of pretraining, a panel a task."""

from __future__ import annotations

from collections.abc import Sequence

from robust_det.analysis.curves import Curve, Panel, Plot
from robust_det.analysis.estimates import estimate
from robust_det.core.epsilon import norm_label
from robust_det.core.errors import counted
from robust_det.site.overview import Group, Place

__all__ = ["overview_plot"]

_MOST = 12  # panels
_MOST_CURVES = 6  # that one tells apart


def overview_plot(groups: Sequence[Group]) -> tuple[Plot | None, str]:
    """Return the picture of all tasks with a standard and a robust backbone, and what it lacks.

    Drawn are the figures that runs are compared by, then others, of the most runs, in the order of
    the groups.

    Returns:
        The plot, None without such a task; and how much is not drawn, empty if nothing.
    """
    panels: dict[Place, dict[tuple[str, str], list[Group]]] = {}
    for one in groups:
        if one.row["eps"] is not None:
            curve = (one.arch, one.setting)
            panels.setdefault(one.place, {}).setdefault(curve, []).append(one)
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
    panels_left = len(telling) - len(drawn)
    curves_left = sum(max(0, len(_curves(telling[place])) - _MOST_CURVES) for place in drawn)
    left = [
        counted(number, word)
        for number, word in ((panels_left, "more figure"), (curves_left, "more curve"))
        if number
    ]
    plot = Plot(
        "overview",
        "Standard backbones (ε 0) and robust ones",
        "ε of pretraining",
        tuple(_panel(place, telling[place]) for place in drawn),
        "bars: 95% t interval over backbones; dots: single ones",
    )
    return plot, ", ".join(left)


def _runs(curves: dict[tuple[str, str], list[Group]]) -> int:
    return sum(len(one.runs) for groups in curves.values() for one in groups)


def _headline(curves: dict[tuple[str, str], list[Group]]) -> bool:
    return any(one.headline for groups in curves.values() for one in groups)


def _panel(place: Place, found: dict[tuple[str, str], list[Group]]) -> Panel:
    title = ", ".join(filter(None, (place.dataset, place.mode or place.protocol)))
    curves = _curves(found)
    eps = dict.fromkeys(
        (one.row["norm"] or None, one.row["eps"]) for groups in found.values() for one in groups
    )
    return Panel(title, f"{place.metric} %", tuple(curves[:_MOST_CURVES]), tuple(eps))


def _curves(found: dict[tuple[str, str], list[Group]]) -> list[Curve]:
    """Return a curve for each norm and way of pretraining, from the standard backbones on; where
    these were pretrained in several ways, none is the beginning, and each stands alone."""
    curves = []
    for (arch, setting), groups in found.items():
        standard = [one for one in groups if not one.row["eps"]]
        robust = [one for one in groups if one.row["eps"]]
        first = standard if len(standard) == 1 and robust else []
        of_kind: dict[tuple[str, str], list[Group]] = {}
        for one in robust:
            of_kind.setdefault((norm_label(one.row["norm"]), one.way), [*first]).append(one)
        for one in standard[len(first) :]:
            of_kind[one.backbone, ""] = [one]
        for (kind, way), members in of_kind.items():
            words = filter(None, (arch, kind, way, setting and f"({setting})"))
            points = tuple(
                (one.row["eps"], estimate(one.values), tuple(one.values)) for one in members
            )
            curves.append(Curve(" ".join(words), points))
    return curves
