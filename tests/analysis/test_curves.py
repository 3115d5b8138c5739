"""Plots of curves: no two of them look alike."""

from __future__ import annotations

from robust_det.analysis.curves import Curve, Panel, Plot
from robust_det.analysis.estimates import estimate


def test_of_many_curves_no_two_look_alike() -> None:
    curves = [
        Curve(f"net{n}", tuple((x, estimate([x + n]), (x + n,)) for x in (0.0, 1.0)))
        for n in range(30)
    ]
    # as in a picture of several panels: what is in one of them is far apart among all
    panels = [Panel("one", "%", tuple(curves[0::6])), Panel("two", "%", tuple(curves))]
    figure = Plot("many", "Many", "x", tuple(panels), "").draw()
    for axes in figure.axes:
        lines = [line for line in axes.lines if line.get_linewidth() == 1.8]  # not those of points
        looks = {(line.get_color(), line.get_marker()) for line in lines}
        assert len(looks) == len(lines) > 4
