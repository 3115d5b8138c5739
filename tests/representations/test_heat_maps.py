"""Heat maps: what is in their cells, and that they are read in grey."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from matplotlib import colormaps
from PIL import Image

from robust_det.core.figures import image_bytes
from robust_det.core.resampling import Interval
from robust_det.representations.given_images import GivenImages
from robust_det.representations.heat_maps import HeatMap, HeatMaps
from robust_det.representations.pairs import Cell, Pair
from robust_det.representations.similarity_answer import Compared, answer_of
from robust_det.representations.similarity_maps import heat_maps
from tests.representations.test_yardstick import all_pairs, backbone, three_and_three


def pair_of(a: Any, b: Any, values: list[list[float]]) -> Pair:
    names = ("res2", "res3")
    cells = {
        (row, column): Cell(Interval(values[i][j], np.nan, np.nan), 0.0, np.empty(0))
        for i, row in enumerate(names)
        for j, column in enumerate(names)
    }
    return Pair(a, b, cells)


def test_means_are_of_pairs_turned_alike() -> None:
    standard, other, robust = backbone("a", 0), backbone("b", 0), backbone("c", 1)
    pairs = [
        pair_of(standard, robust, [[0.9, 0.5], [0.1, 0.7]]),
        pair_of(robust, other, [[0.7, 0.3], [0.7, 0.5]]),  # the standard one comes second
        pair_of(standard, other, [[1.0, 0.2], [0.4, 0.9]]),
    ]
    kinds, each = heat_maps("similarity", pairs)
    assert (kinds.name, each.name) == ("similarity_kinds", "similarity_pairs")
    crossed, alike = kinds.panels
    assert (crossed.y, crossed.x) == ("standard", "L2 ε 1")
    assert np.array(crossed.values) == pytest.approx(np.array([[0.8, 0.6], [0.2, 0.6]]))
    assert np.array(alike.values) == pytest.approx(np.array([[1.0, 0.3], [0.3, 0.9]]))
    assert [panel.values for panel in each.panels] == [
        ((0.9, 0.5), (0.1, 0.7)),
        ((0.7, 0.3), (0.7, 0.5)),
        ((1.0, 0.2), (0.4, 0.9)),
    ]
    assert "standard and L2 ε 1 2 pairs: res2 0.80, res3 0.60" in kinds.description


def test_too_many_pairs_are_drawn_as_kinds_and_that_is_said() -> None:
    members = three_and_three()
    pairs = all_pairs(members, 0.8, 0.5)
    images = GivenImages((Path("a.png"),) * 50, ("0" * 64,) * 50, 64)
    answer = answer_of(Compared(members, images, 1, pairs, []), ["first"])
    assert [one.name for one in answer.figures] == ["similarity_kinds"]
    assert answer.left_out == [
        "first",
        "15 pairs are too many to draw each; the CSV file has all.",
    ]


def test_shades_rise_in_grey() -> None:
    shades = colormaps["cividis"](np.linspace(0, 1, 50))[:, :3]
    grey = shades @ np.array([0.299, 0.587, 0.114])
    assert (np.diff(grey) > 0).all()


def test_a_figure_is_drawn_the_same_each_time_and_names_what_is_undefined() -> None:
    panel = HeatMap("two", "a", "b", ("res2",), ("res2", "res3"), ((-0.02, float("nan")),))
    maps = HeatMaps("x", "Stages", "CKA", (panel,))
    first, again = (image_bytes(maps.draw(), "png") for _ in range(2))
    assert first == again
    size = Image.open(io.BytesIO(first)).size
    assert size[0] > 400 and size[1] > 300
    assert [text.get_text() for text in maps.draw().axes[0].texts] == ["−0.02", "—"]
