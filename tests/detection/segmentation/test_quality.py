"""Panoptic quality: the figures of COCO's panopticapi, and its rules one by one."""

import gzip
import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from robust_det.detection.evaluation.quality import (
    Tally,
    merged,
    panoptic_quality,
    tally_image,
)

CAT, GRASS = 3, 90
VECTORS = Path(__file__).parents[2] / "fixtures/panoptic_vectors.json.gz"


def about(value: float) -> Any:
    """A float that equals one with rounding."""
    return pytest.approx(value)


def strip(*runs: Any) -> Any:
    """Ids of an image one pixel high, from (id, length) pairs."""
    return np.repeat(np.array([n for n, _ in runs], np.int32), [k for _, k in runs])[None]


def segment(number: Any, category: Any = CAT, crowd: int = 0) -> dict[Any, Any]:
    return {"id": number, "category_id": category, "iscrowd": crowd}


def one(
    truth: Any, true_segments: Any, found: Any, found_segments: Any, category: Any = CAT
) -> Any:
    return tally_image(truth, true_segments, found, found_segments).get(category, Tally())


def test_figures_are_those_of_panopticapi() -> None:
    vectors = json.loads(gzip.decompress(VECTORS.read_bytes()))
    tallies = []
    for truth, found in zip(vectors["truth"], vectors["found"], strict=True):
        images = (np.array(i["ids"], np.int32) for i in (truth, found))
        tallies.append(
            tally_image(next(images), truth["segments"], next(images), found["segments"])
        )
    names = [
        {c["id"]: c["name"] for c in vectors["categories"] if c["isthing"] == kind}
        for kind in (1, 0)
    ]
    ours, result = panoptic_quality(merged(tallies), *names), vectors["result"]
    for part, suffix in (("All", ""), ("Things", "_th"), ("Stuff", "_st")):
        for key in ("pq", "sq", "rq"):
            assert ours[f"{key.upper()}{suffix}"] == pytest.approx(
                100 * result[part][key], abs=1e-9
            )
    assert 10 < ours["PQ"] < 90
    for number, of_class in result["per_class"].items():
        figure = ours[f"PQ-class {number}"]
        # that library has 0 for a class that is nowhere, and leaves it out of the means as we do
        if number == "40":
            assert math.isnan(figure)
        else:
            assert figure == pytest.approx(100 * of_class["pq"], abs=1e-9)


def test_a_match_needs_more_than_half() -> None:
    truth = strip((1, 6), (0, 6))
    half = one(truth, [segment(1)], strip((7, 3), (0, 9)), [segment(7)])
    assert half == Tally(0.0, matched=0, wrong=1, missed=1)
    more = one(truth, [segment(1)], strip((7, 4), (0, 8)), [segment(7)])
    assert more == Tally(about(4 / 6), matched=1, wrong=0, missed=0)


def test_another_class_is_no_match() -> None:
    truth, found = strip((1, 6)), strip((1, 6))
    tallies = tally_image(truth, [segment(1)], found, [segment(1, GRASS)])
    assert tallies == {CAT: Tally(missed=1), GRASS: Tally(wrong=1)}


def test_void_is_outside_of_the_union() -> None:
    # 4 of 5 pixels of the cat, and 6 of void
    result = one(strip((1, 5), (0, 10)), [segment(1)], strip((0, 1), (2, 10), (0, 4)), [segment(2)])
    assert result == Tally(about(4 / 5), matched=1)


@pytest.mark.parametrize(("void", "wrong"), [(3, 1), (4, 0)])
def test_a_segment_that_is_more_than_half_in_void_is_not_wrong(void: int, wrong: int) -> None:
    truth = strip((1, 6 - void), (0, void))
    result = tally_image(truth, [segment(1, GRASS)], strip((5, 6)), [segment(5)])
    assert result[CAT].wrong == wrong


@pytest.mark.parametrize(("category", "wrong"), [(CAT, 0), (GRASS, 1)])
def test_crowds_excuse_their_own_class_and_are_not_missed(category: Any, wrong: int) -> None:
    truth = strip((1, 4), (2, 2))
    segments = [segment(1, category, crowd=1), segment(2, 50)]
    result = tally_image(truth, segments, strip((9, 6)), [segment(9)])
    assert result.get(CAT, Tally()).wrong == wrong
    assert sum(tally.missed for tally in result.values()) == 1  # the other one
    # a crowd that is found exactly is no match either
    exact = one(strip((1, 6)), [segment(1, crowd=1)], strip((9, 6)), [segment(9)])
    assert exact == Tally()


def test_the_figures_by_hand() -> None:
    tallies = {
        CAT: Tally(iou=1.5, matched=2, wrong=1, missed=1),  # PQ 1.5 / 3, SQ 0.75, RQ 2 / 3
        GRASS: Tally(iou=0.9, matched=1),
    }
    figures = panoptic_quality(tallies, {CAT: "cat", 4: "dog"}, {GRASS: "grass"})
    assert figures["PQ_th"] == figures["PQ-cat"] == pytest.approx(50)
    assert (figures["SQ_th"], figures["RQ_th"]) == pytest.approx((75, 200 / 3))
    assert (figures["PQ_st"], figures["PQ"]) == pytest.approx((90, 70))
    assert math.isnan(figures["PQ-dog"])


def test_nothing_at_all_has_no_quality() -> None:
    figures = panoptic_quality({}, {CAT: "cat"}, {GRASS: "grass"})
    assert all(math.isnan(value) for value in figures.values())


def test_tallies_add_up() -> None:
    parts = [{CAT: Tally(0.8, 1, 2, 3)}, {CAT: Tally(0.6, 1), GRASS: Tally(missed=1)}, {}]
    total = {CAT: Tally(about(1.4), 2, 2, 3), GRASS: Tally(missed=1)}
    assert merged(parts) == total
