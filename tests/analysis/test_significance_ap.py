"""AP of weighted images: equal to pycocotools, also where images are really repeated."""

from __future__ import annotations

import contextlib
import io
from typing import Any

import numpy as np
import pytest
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from robust_det.analysis.significance.accumulate import METRICS, average_precisions, metrics
from robust_det.analysis.significance.matching import match
from robust_det.data.synthetic.flawed_detections import make_detections, make_truth


def by_pycocotools(
    document: dict[str, Any], detections: list[dict[str, Any]], task: str
) -> tuple[dict[str, float], list[float]]:
    """The six figures, and the AP of each class, in percent; NaN where undefined."""
    with contextlib.redirect_stdout(io.StringIO()):
        truth = COCO()
        truth.dataset = {**document, "annotations": [dict(a) for a in document["annotations"]]}
        truth.createIndex()
        drop = {"segm": "bbox", "bbox": "segmentation"}[task]
        found = truth.loadRes([{k: v for k, v in d.items() if k != drop} for d in detections])
        evaluation = COCOeval(truth, found, task)
        evaluation.evaluate()
        evaluation.accumulate()
        evaluation.summarize()
    precision = evaluation.eval["precision"][:, :, :, 0, -1]
    per_class = [
        100 * p[p > -1].mean() if (p > -1).any() else np.nan for p in np.moveaxis(precision, 2, 0)
    ]
    stats = [100 * s if s >= 0 else np.nan for s in evaluation.stats[:6]]
    return dict(zip(METRICS, stats, strict=True)), per_class


def figures(
    document: dict[str, Any], detections: list[dict[str, Any]], task: str, weights: Any
) -> dict[str, float]:
    matches = match(document, detections, task)
    weights = np.atleast_2d(np.asarray(weights, np.int32))
    return {k: v[0] for k, v in metrics(matches, average_precisions(matches, weights)).items()}


@pytest.mark.parametrize("digits", [6, 1])
@pytest.mark.parametrize("task", ["bbox", "segm"])
def test_unweighted_it_is_pycocotools(task: str, digits: int) -> None:
    # crowds, an empty class, empty images, more than 100 detections, and with one digit many ties
    truth = make_truth(60, 6, crowds=0.1, seed=3)
    many = make_detections(truth, 25, quality=0.7, digits=digits, masks=True, seed=4)
    many += [{**d, "score": d["score"] * 0.9} for d in many if d["image_id"] == 1003] * 40
    expected, per_class = by_pycocotools(truth, many, task)
    ours = figures(truth, many, task, np.ones(60))
    assert sum(d["image_id"] == 1003 and d["category_id"] == 1 for d in many) > 100
    assert 5 < expected["AP"] < 80
    for name, value in expected.items():
        assert ours[name] == pytest.approx(value, abs=1e-9)
    classes = [ours[f"AP-class{i}"] for i in range(6)]
    assert classes == pytest.approx(per_class, abs=1e-9, nan_ok=True)
    assert np.isnan(classes[-1])


def repeated(
    document: dict[str, Any], detections: list[dict[str, Any]], weights: Any
) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """The data set in which each image is there as often as its weight says."""
    copies = {
        image["id"]: [image["id"] * 100 + n for n in range(weight)]
        for image, weight in zip(document["images"], weights, strict=True)
    }
    annotations = [
        {**a, "image_id": i} for a in document["annotations"] for i in copies[a["image_id"]]
    ]
    annotations = [{**a, "id": n} for n, a in enumerate(annotations, start=1)]
    images = [{**m, "id": i} for m in document["images"] for i in copies[m["id"]]]
    found = [{**d, "image_id": i} for d in detections for i in copies[d["image_id"]]]
    return {**document, "images": images, "annotations": annotations}, found


@pytest.mark.parametrize("seed", range(4))
def test_weighted_it_is_pycocotools_on_repeated_images(seed: int) -> None:
    truth = make_truth(30, 4, crowds=0.05, seed=seed)
    found = make_detections(truth, 20, quality=0.8, digits=12, masks=True, seed=seed)
    rng = np.random.default_rng(seed)
    weights = np.bincount(rng.integers(0, 30, 30), minlength=30)
    assert weights.max() >= 3 and weights.min() == 0
    for task in ("bbox", "segm"):
        expected, per_class = by_pycocotools(*repeated(truth, found, weights), task)
        ours = figures(truth, found, task, weights)
        for name, value in expected.items():
            assert ours[name] == pytest.approx(value, abs=1e-9)
        classes = [ours[f"AP-class{i}"] for i in range(4)]
        assert classes == pytest.approx(per_class, abs=1e-9, nan_ok=True)


def test_equal_scores_in_an_image_keep_their_copies_together() -> None:
    """The one place where a repeated data set is another: hit, miss, hit, miss for hit, hit, miss,
    miss, where an image has a hit and a miss of one class with the same score."""
    box = {"image_id": 1, "category_id": 1, "score": 0.5}
    truth = {
        "images": [{"id": 1, "width": 100, "height": 100}],
        "categories": [{"id": 1, "name": "a"}],
        "annotations": [
            {"id": 1, "image_id": 1, "category_id": 1, "bbox": [0, 0, 40, 40], "area": 1600}
            | {"iscrowd": 0}
        ],
    }
    found = [{**box, "bbox": [0, 0, 40, 40]}, {**box, "bbox": [50, 50, 40, 40]}]
    assert figures(truth, found, "bbox", [2])["AP"] == pytest.approx(100)
    expected, _ = by_pycocotools(*repeated(truth, found, [2]), "bbox")
    # precision 1 up to recall 0.5, that is at 51 of 101 recalls, and 2/3 beyond
    assert expected["AP"] == pytest.approx(100 * (51 + 50 * 2 / 3) / 101)


def test_many_weightings_at_once_are_each_alone() -> None:
    truth = make_truth(25, 3, seed=7)
    found = make_detections(truth, 15, seed=7)
    matches = match(truth, found, "bbox")
    rng = np.random.default_rng(0)
    weights = rng.multinomial(25, np.full(25, 1 / 25), 300).astype(np.int32)
    weights[5] = 0  # nothing drawn, nothing defined
    together = average_precisions(matches, weights)
    assert together.shape == (300, 3, 4, 10)
    for row in (0, 127, 128, 299):
        alone = average_precisions(matches, weights[[row]])
        assert np.array_equal(together[[row]], alone, equal_nan=True)
    assert np.isnan(together[5]).all()
    assert np.isnan(metrics(matches, together)["AP"][5])


def test_without_detections_or_objects() -> None:
    truth = make_truth(10, 2, seed=1)
    nothing = figures(truth, [], "bbox", np.ones(10))
    assert nothing["AP"] == 0.0 and np.isnan(nothing["AP-class1"])
    empty = {**truth, "annotations": []}
    found = make_detections(truth, 5)
    assert np.isnan(figures(empty, found, "bbox", np.ones(10))["AP"])
