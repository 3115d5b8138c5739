"""Curves of a run, from the lines of JSON that it left beside its record."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from markupsafe import Markup

__all__ = ["Curve", "curve_svg", "read_curves"]

# of pretraining and transfer, of detection: the file, and what its lines are counted by
_LOGS = (("metrics.jsonl", "epoch"), ("metrics.json", "iteration"))
_MOST_POINTS = 240
_MOST_CURVES = 16
_FIRST = ("train_loss", "total_loss", "clean_top1", "adversarial_top1", "top1", "bbox/AP", "lr")
_DULL = {"step", "epoch", "iteration", "eta_seconds", "data_time", "time", "rank_data_time"}
_WIDTH, _HEIGHT, _LEFT, _RIGHT, _TOP, _BOTTOM = 280, 130, 46, 8, 8, 20


@dataclass(frozen=True)
class Curve:
    """A figure over the course of a run.

    Attributes:
        name: in the log.
        by: what it is counted by, ``epoch`` or ``iteration``.
        points: places and values; NaN and infinities are among them.
    """

    name: str
    by: str
    points: Sequence[tuple[float, float]]


def read_curves(folder: Path) -> tuple[list[Curve], list[str]]:
    """Return the curves of a run, and what a reader has to know.

    Args:
        folder: of the run.
    """
    for name, by in _LOGS:
        path = folder / name
        try:
            lines = path.read_text(errors="replace").splitlines()
        except OSError:
            continue
        return _curves(lines, by, name)
    names = " or ".join(name for name, _ in _LOGS)
    return [], [f"There are no curves: no {names} lies beside the record."]


def _curves(lines: Sequence[str], by: str, name: str) -> tuple[list[Curve], list[str]]:
    series: dict[str, list[tuple[float, float]]] = {}
    wrong = 0
    for line in lines:
        values = _values(line)
        place = values.get(by)
        if not isinstance(place, (int, float)):
            wrong += 1
            continue
        for key, value in values.items():
            if key not in _DULL and isinstance(value, (int, float)):
                series.setdefault(key, []).append((float(place), float(value)))
    # a curve of one point, or of one value throughout, shows nothing
    telling = {
        key: points
        for key, points in series.items()
        if len(points) > 1 and len({value for _, value in points}) > 1
    }
    order = sorted(telling, key=lambda key: _FIRST.index(key) if key in _FIRST else len(_FIRST))
    notes = []
    if wrong:
        notes.append(f"{wrong} of {len(lines)} lines of {name} cannot be read, and are left out.")
    if len(order) > _MOST_CURVES:
        notes.append(f"Not drawn: {', '.join(order[_MOST_CURVES:])}.")
    if not order:
        notes.append(f"There are no curves: {name} has no figure at two points of the run.")
    return [Curve(key, by, _thinned(telling[key])) for key in order[:_MOST_CURVES]], notes


def _values(line: str) -> dict[str, Any]:
    try:
        found = json.loads(line)
    except (ValueError, RecursionError):
        return {}
    if not isinstance(found, dict):
        return {}
    return {key: value for key, value in found.items() if not isinstance(value, bool)}


def _thinned(points: Sequence[tuple[float, float]]) -> list[tuple[float, float]]:
    """Leave so many points that each is seen, the last one among them."""
    stride = math.ceil(len(points) / _MOST_POINTS)
    return [*points[:-1:stride], points[-1]]


def curve_svg(curve: Curve) -> Markup:
    """Return a curve as an ``<svg>`` element, whose colours are those of the page."""
    known = [(x, y) for x, y in curve.points if math.isfinite(y)]
    if not known:
        return Markup("<p>{}</p>").format(f"{curve.name} is never a finite number.")
    low, high = min(y for _, y in known), max(y for _, y in known)
    first, last = curve.points[0][0], curve.points[-1][0]
    across = (_WIDTH - _LEFT - _RIGHT) / ((last - first) or 1)
    down = (_HEIGHT - _TOP - _BOTTOM) / ((high - low) or 1)
    path, pen = [], "M"
    for x, y in curve.points:
        if not math.isfinite(y):
            pen = "M"  # a gap, where it is undefined
            continue
        path.append(f"{pen}{_LEFT + (x - first) * across:.1f} {_TOP + (high - y) * down:.1f}")
        pen = "L"
    undefined = len(curve.points) - len(known)
    words = (
        f"{curve.name}: {known[0][1]:.4g} at {curve.by} {known[0][0]:g}, {known[-1][1]:.4g} at"
        f" {known[-1][0]:g}, lowest {low:.4g}, highest {high:.4g}"
    )
    if undefined:
        words += f", undefined at {undefined} points"
    floor = _HEIGHT - _BOTTOM
    return Markup(
        '<svg role="img" aria-label="{words}" viewBox="0 0 {w} {h}">'
        '<line x1="{l}" x2="{r}" y1="{f}" y2="{f}"/><path d="{path}"/>'
        '<text x="{s}" y="{t}" text-anchor="end">{high}</text>'
        '<text x="{s}" y="{f}" text-anchor="end">{low}</text>'
        '<text x="{l}" y="{b}">{first}</text>'
        '<text x="{r}" y="{b}" text-anchor="end">{by} {last}</text></svg>'
    ).format(
        words=words,
        w=_WIDTH,
        h=_HEIGHT,
        l=_LEFT,
        r=_WIDTH - _RIGHT,
        f=floor,
        path="".join(path),
        s=_LEFT - 5,
        t=_TOP + 9,
        b=_HEIGHT - 5,
        high=f"{high:.4g}",
        low=f"{low:.4g}",
        first=f"{first:g}",
        by=curve.by,
        last=f"{last:g}",
    )
