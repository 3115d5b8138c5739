"""Kinds of errors: the numbers of tidecv, and one of each kind made by hand."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import pytest

from robust_det.analysis.significance.tide import KINDS, error_breakdown

VECTORS = Path(__file__).parents[1] / "fixtures" / "tide_vectors.json.gz"
Found = tuple[int, list[float], float]  # category, box, score


@pytest.mark.parametrize("task", ["bbox", "segm"])
def test_the_numbers_are_those_of_tidecv(task: str) -> None:
    vectors = json.loads(gzip.decompress(VECTORS.read_bytes()))
    ours = error_breakdown(vectors["truth"], vectors["detections"], task)
    theirs = vectors[task]
    assert ours.ap50 == pytest.approx(theirs["ap50"], abs=1e-9)
    assert 5 < ours.ap50 < 60
    assert ours.counts == theirs["counts"]
    assert list(ours.counts) == list(KINDS) and min(ours.counts.values()) >= 1
    assert ours.gains == pytest.approx(theirs["gains"], abs=1e-9)


def breakdown(found: list[Found], crowd: bool = False) -> Any:
    """One image with a 40 px object of class 1 and one of class 2."""
    boxes = {1: [0.0, 0.0, 40.0, 40.0], 2: [100.0, 100.0, 40.0, 40.0]}
    annotations = [
        {"id": c, "image_id": 7, "category_id": c, "bbox": box, "area": 1600, "iscrowd": 0}
        for c, box in boxes.items()
    ]
    if crowd:
        annotations.append(
            {"id": 3, "image_id": 7, "category_id": 1, "bbox": [200, 0, 90, 90], "area": 8100}
            | {"iscrowd": 1}
        )
    truth = {
        "images": [{"id": 7, "width": 300, "height": 300}],
        "categories": [{"id": 1, "name": "a"}, {"id": 2, "name": "b"}],
        "annotations": annotations,
    }
    detections = [
        {"image_id": 7, "category_id": c, "bbox": box, "score": score} for c, box, score in found
    ]
    return error_breakdown(truth, detections, "bbox")


HIT: Found = (2, [100, 100, 40, 40], 0.9)


@pytest.mark.parametrize(
    ("found", "kind", "missed", "gain"),
    [
        # the object of class 1, called class 2: fixed, it is found. The wrong call comes after the
        # hit of class 2, whose AP is whole already: AP50 goes from 50 to 100
        ((2, [0, 0, 40, 40], 0.8), "Cls", 0, 50.0),
        # an IoU of 0.25
        ((1, [0, 0, 40, 10], 0.8), "Loc", 0, 50.0),
        # the wrong class and an IoU of 0.25
        ((2, [0, 0, 40, 10], 0.8), "Both", 1, 0.0),
        ((2, [100, 100, 40, 38], 0.8), "Dupe", 1, 0.0),
        ((1, [200, 200, 40, 40], 0.8), "Bkg", 1, 0.0),
    ],
)
def test_one_of_each_kind(found: Found, kind: str, missed: int, gain: float) -> None:
    result = breakdown([HIT, found])
    assert result.ap50 == pytest.approx(50)
    assert result.counts == {**dict.fromkeys(KINDS, 0), kind: 1, "Miss": missed}
    assert result.gains[kind] == pytest.approx(gain)
    # without the object nobody found, class 1 is left with a false alarm (AP 0) or with nothing
    assert result.gains["Miss"] == pytest.approx(50.0 if missed and found[0] == 2 else 0.0)


def test_false_alarms_cost_what_they_stand_before() -> None:
    alarm: Found = (2, [200, 200, 40, 40], 0.95)
    result = breakdown([HIT, alarm])
    # class 2 has precision 1/2 at each recall
    assert result.ap50 == pytest.approx(25)
    assert result.gains["Bkg"] == pytest.approx(25)


def test_detections_on_a_crowd_count_neither_way() -> None:
    alarm: Found = (1, [210, 10, 40, 40], 0.99)
    first: Found = (1, [0, 0, 40, 40], 0.9)
    assert breakdown([HIT, first, alarm], crowd=False).ap50 == pytest.approx(75)
    assert breakdown([HIT, first, alarm], crowd=True).ap50 == pytest.approx(100)


def test_nothing_found_is_all_missed() -> None:
    result = breakdown([])
    assert result.ap50 == 0.0
    assert result.counts == {**dict.fromkeys(KINDS, 0), "Miss": 2}
