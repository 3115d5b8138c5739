"""Records of schema 1, such as all under ``docs/results``, are read for ever."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from robust_det.core.errors import UserError
from robust_det.records import read_record
from robust_det.records.detection import DetectionRecord

RESULTS = Path(__file__).resolve().parents[2] / "docs" / "results"
OLD = sorted(p for p in RESULTS.rglob("record.json") if json.loads(p.read_text())["schema"] == 1)


def test_there_are_old_records() -> None:
    assert len(OLD) >= 37


@pytest.mark.parametrize("path", OLD, ids=lambda path: path.parent.name)
def test_nothing_is_lost(path: Path) -> None:
    old, record = json.loads(path.read_text()), read_record(path)
    assert record.schema == 2 and record.kind() == old["kind"]
    for field in ("name", "arch", "norm", "eps", "seed", "config", "metrics", "wall_time_s"):
        assert getattr(record, field) == old[field]
    assert record.weights.path == old["weights"]["path"]
    assert record.weights.sha256 == old["weights"]["sha256"]
    for field, value in old["environment"].items():
        assert getattr(record.environment, field) == value
    if not isinstance(record, DetectionRecord):
        (evaluator,) = record.evaluators  # type: ignore[attr-defined]
        assert {field: getattr(evaluator, field) for field in old["evaluator"]} == old["evaluator"]
        return
    assert record.schedule == old["schedule"] and record.protocol == old["protocol"]
    assert " + ".join(e.name for e in record.evaluators) == old["evaluator"]["name"]
    libraries = [f"{e.library} {e.version}" for e in record.evaluators]
    assert " + ".join(libraries) == old["evaluator"]["library"]
    for part in ("train", "test"):
        for one, facts in zip(getattr(record.data, part), old["data"][part], strict=True):
            assert {field: getattr(one, field) for field in facts} == facts
    assert [p.image for p in record.pictures] == [p["image"] for p in old["pictures"]]
    kept = {name: {"path": f.path, "sha256": f.sha256} for name, f in record.detections.items()}
    assert kept == old.get("detections", {})


@pytest.fixture
def panoptic() -> dict[str, Any]:
    """A record of schema 1 with three evaluators, from a detector without a backbone."""
    path = next(p for p in OLD if p.parent.name == "tiny_r18_eps0_coco100_mask")
    record = json.loads(path.read_text())
    record["evaluator"] = {
        "name": "SemSegEvaluator + COCOEvaluator + PanopticEvaluator",
        "library": "detectron2 0.5 + faster-coco-eval 1.8.0 + robust_det 0.1.0",
    }
    return {**record, "eps": None, "norm": "", "weights": {"path": ""}}


def test_joined_evaluators_come_apart(panoptic: dict[str, Any], tmp_path: Path) -> None:
    path = tmp_path / "record.json"
    path.write_text(json.dumps(panoptic))
    record = read_record(path, DetectionRecord)
    assert [(e.name, e.library, e.version) for e in record.evaluators] == [
        ("SemSegEvaluator", "detectron2", "0.5"),
        ("COCOEvaluator", "faster-coco-eval", "1.8.0"),
        ("PanopticEvaluator", "robust_det", "0.1.0"),
    ]
    assert record.eps is None and record.weights.sha256 == ""
    panoptic["evaluator"]["library"] = "detectron2 0.5"
    path.write_text(json.dumps(panoptic))
    with pytest.raises(UserError, match="field 'evaluator' has 3 names of 1 libraries"):
        read_record(path)
