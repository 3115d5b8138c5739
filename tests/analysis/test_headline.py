"""The interval of the answer, computed once more by pycocotools on images that are repeated."""

from __future__ import annotations

import csv
import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from robust_det.analysis.compare import compare
from robust_det.analysis.options import Options
from robust_det.data.synthetic.flawed_detections import make_detections, make_truth
from tests.analysis.test_significance_ap import by_pycocotools, repeated

RESAMPLES = 40
TRUTH = make_truth(12, 2, objects=5, crowds=0.0, seed=3)


def test_the_headline_is_what_pycocotools_gives_on_resampled_images(
    scored_run: Callable[..., Path], tmp_path: Path
) -> None:
    found = {
        (eps, seed): make_detections(TRUTH, 8, quality=0.7 + 0.2 * eps, digits=12, seed=seed)
        for eps, seed in ((0, 0), (0, 1), (1, 0))
    }
    runs = [
        scored_run(f"run{eps}{seed}", float(eps), seed=seed, truth=TRUTH, found=detections)
        for (eps, seed), detections in found.items()
    ]
    options = Options(significance=True, resamples=RESAMPLES, seed=7, pictures=0)
    _, text = compare(runs, tmp_path / "report", options=options)

    # 40 times as many images as there are, with replacement
    draws = np.random.default_rng(7).integers(0, 12, (RESAMPLES, 12))
    weights = [np.ones(12, int), *(np.bincount(draw, minlength=12) for draw in draws)]
    ap = {
        key: np.array([by_pycocotools(*repeated(TRUTH, d, w), "bbox")[0]["AP"] for w in weights])
        for key, d in found.items()
    }
    standard = (ap[0, 0] + ap[0, 1]) / 2
    difference = ap[1, 0] - standard
    low, high = np.percentile(difference[1:], (2.5, 97.5))
    ends = [f"{value:+.1f}".replace("-", "−") for value in (difference[0], low, high)]
    assert f": {ends[0]} [{ends[1]}, {ends[2]}] box AP over images, 1 and 2 seeds" in text

    lines = csv.DictReader((tmp_path / "report/significance.csv").read_text().splitlines())
    made = {
        (x["what"], x["backbone"], x["seed"]): [float(x[k]) for k in ("value", "low", "high")]
        for x in lines
        if x["metric"] == "AP"
    }
    pooled = made["difference", "resnet18 L2 ε 1", ""]
    assert pooled == pytest.approx([difference[0], low, high], abs=1e-6)
    low, high = np.percentile(standard[1:], (2.5, 97.5))
    low, high = 2 * standard[0] - high, 2 * standard[0] - low
    mean = made["figure", "resnet18 standard", ""]
    assert mean == pytest.approx([standard[0], low, high], abs=1e-6)
    row = re.search(r"^resnet18 standard +mean of 2 +(\S+) \[(\S+), (\S+)\]", text, re.MULTILINE)
    assert row is not None
    assert row.groups() == tuple(f"{value:.1f}" for value in mean)
