"""Records of classifiers in a comparison: beside detection runs, and alone."""

from __future__ import annotations

import csv
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from robust_det.analysis.compare import compare
from robust_det.analysis.significance.study import Options
from robust_det.core.errors import UserError

WriteRun = Callable[..., Path]
OF_DETECTION = ("schedule", "protocol", "detections", "segmentations", "pictures")
ATTACK = {"name": "PGD", "norm": "linf", "eps": 4 / 255, "steps": 20, "step_size": 0.002}


@pytest.fixture
def write_classifier_run(write_run: WriteRun) -> WriteRun:
    """Write a record of a pretraining run or of an evaluation, and return its folder."""

    def write(name: str, eps: float | None, kind: str, **fields: Any) -> Path:
        folder = write_run(name, eps, None)
        path = folder / "record.json"
        record = {k: v for k, v in json.loads(path.read_text()).items() if k not in OF_DETECTION}
        record |= {"kind": kind, "processes": 1, "evaluators": [{**ATTACK, "images": 50}]}
        record["metrics"] = {"clean_top1": 40.0, "clean_top5": None}
        if kind == "pretrain":
            record["data"] = {"train": {"images": 9, "classes": 3}, "val": {"images": 4}}
        else:
            record |= {"data": {"images": 990, "skipped": 10}, "classes": 3}
        path.write_text(json.dumps(record | fields))
        return folder

    return write


def test_backbones_beside_detectors_and_alone(
    write_run: WriteRun, write_classifier_run: WriteRun, tmp_path: Path
) -> None:
    folder = write_classifier_run("pre", 1.0, "pretrain")
    for runs in ([folder], [folder, write_run("det", 1.0, 38.0)]):
        _, text = compare(runs, tmp_path / "report")
        attack = "PGD-20 on the cross-entropy, L∞ 0.0156863"
        row = rf"^pre +resnet18 +L2 1 +{attack} +40\.0 +— +—$"
        assert re.search(row, text, re.MULTILINE)


@pytest.mark.parametrize(
    ("method", "eps", "said"), [("trades", 1.0, "L2 1, trades"), ("pgd", 1.0, "L2 1")]
)
def test_a_method_other_than_pgd_is_named(
    write_classifier_run: WriteRun, tmp_path: Path, method: str, eps: float, said: str
) -> None:
    cost = {"method": method, "forward": 5.0, "backward": 4.0, "images": 9}
    _, text = compare([write_classifier_run("pre", eps, "pretrain", cost=cost)], tmp_path / "out")
    assert re.search(rf"^pre +resnet18 +{said} +PGD", text, re.MULTILINE)


def test_evaluations_alone_are_a_table_with_attacks_and_files(
    write_classifier_run: WriteRun, tmp_path: Path
) -> None:
    metrics = {"clean_top1": 61.25, "clean_top5": 90.0, "adversarial_top1": 33.333}
    weights = {"path": "output/a|b/final.pth", "sha256": "ab" * 32}
    write_classifier_run("one", 0.25, "classifier_evaluation", metrics=metrics, weights=weights)
    plain = {**ATTACK, "eps": 0.0, "images": 0}
    write_classifier_run("two", None, "classifier_evaluation", evaluators=[plain], norm="")
    page, text = compare([tmp_path / "runs"], tmp_path / "report")
    rows = [re.split("  +", line) for line in text.splitlines()]
    head = ["evaluation", "weights", "arch", "trained", "attack", "images", "attacked"]
    assert [*head, "clean top-1 %", "clean top-5 %", "adversarial top-1 %"] in rows
    attack = "PGD-20 on the cross-entropy, L∞ 0.0156863"
    one = ["one", weights["path"], "resnet18", "L2 0.25", attack, "990 (10 unreadable)", "50"]
    assert [*one, "61.2", "90.0", "33.3"] in rows
    two = ["two", "resnet18.pth", "resnet18", "unknown", "—", "990 (10 unreadable)", "—"]
    assert [*two, "40.0", "—", "—"] in rows

    names = {path.name for path in (tmp_path / "report").iterdir()} - {page.name}
    assert {"accuracy.md", "evaluations.csv"} < names and "ap.md" not in names
    assert "a\\|b" in (page.parent / "accuracy.md").read_text()
    html = page.read_text()
    assert "Accuracy of classifiers" in html and "33.3" in html and "Key result" not in html
    assert 'href="evaluations.csv"' in html and "ap.csv" not in html and "2 runs" in html
    (first, second) = csv.DictReader((page.parent / "evaluations.csv").read_text().splitlines())
    assert float(first["adversarial_top1"]) == 33.333 and first["weights_sha256"] == "ab" * 32
    assert float(first["attack_eps"]) == 4 / 255 and first["attack_steps"] == "20"
    assert (second["eps"], second["adversarial_top1"]) == ("", "")


def test_what_needs_detections_is_refused(write_classifier_run: WriteRun, tmp_path: Path) -> None:
    folder = write_classifier_run("one", 0.25, "classifier_evaluation")
    with pytest.raises(UserError, match="--images are of detection runs, and none is among"):
        compare([folder], tmp_path / "report", options=Options(errors=True))
    assert not (tmp_path / "report").exists()
