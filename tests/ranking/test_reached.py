from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from scipy.stats import spearmanr

from robust_det.core.errors import UserError
from robust_det.ranking.reached import Reached, correlations, read_reached, sentence

ENVIRONMENT = {
    "python": "3.12",
    "versions": {},
    "commit": None,
    "modified": False,
    "device": "cpu",
    "threads": 1,
    "command": [],
    "created": "2026-01-01T00:00:00Z",
}
SET = {"name": "cells", "images": 9, "annotations": 9, "classes": 3, "sha256": "aa" * 32}
WriteRun = Callable[..., Path]


@pytest.fixture
def write_run(tmp_path: Path) -> WriteRun:
    """Return a function that writes the record of a run from a backbone."""

    def write(sha256: str, value: float | None, kind: str = "detection", **fields: Any) -> Path:
        record: dict[str, Any] = {
            "schema": 2,
            "kind": kind,
            "name": "run",
            "arch": "resnet18",
            "norm": "l2",
            "eps": 1.0,
            "weights": {"path": "b.pth", "sha256": sha256},
            "seed": 0,
            "config": {},
            "environment": ENVIRONMENT,
            "wall_time_s": 1.0,
        }
        if kind == "detection":
            record |= {
                "data": {"train": [SET], "test": [SET]},
                "schedule": {"SOLVER.MAX_ITER": 10},
                "protocol": {},
                "evaluators": [{"name": "COCOEvaluator", "library": "x", "version": "1"}],
                "detections": {},
                "segmentations": {},
                "metrics": {"bbox": {"AP": value, "AP50": 0.0}},
                "pictures": [],
            }
        else:
            record |= {
                "mode": "fixed-feature",
                "head": "logreg",
                "data": {
                    "set": "dtd",
                    "classes": 47,
                    "headline": "top1",
                    "manifest": "bb" * 32,
                    "train": 1,
                    "val": 1,
                    "test": 1,
                },
                "selection": {"on": "validation", "chosen": {}},
                "quirks": [],
                "evaluators": [],
                "metrics": {"top1": value, "mean_per_class": 0.0},
            }
        folder = tmp_path / "runs" / str(len(list(tmp_path.glob("runs/*"))))
        folder.mkdir(parents=True)
        (folder / "record.json").write_text(json.dumps({**record, **fields}))
        return folder

    return write


def test_scores_are_correlated_with_the_mean_of_a_backbone_s_runs(
    write_run: WriteRun, tmp_path: Path
) -> None:
    aps = {"a": (30.0, 34.0), "b": (31.0,), "c": (29.0, 35.5), "d": (20.0,), "e": (90.0,)}
    for sha256, values in aps.items():
        for seed, value in enumerate(values):
            write_run(sha256, value, seed=seed)
    scores = {"a": 50.0, "b": 60.0, "c": 55.0, "d": 40.0, "unused": 1.0}
    [reached] = read_reached([tmp_path / "runs"])
    [found] = correlations([reached], {"top1": scores})
    means = [sum(aps[s]) / len(aps[s]) for s in "abcd"]
    assert found.rho == pytest.approx(spearmanr([50, 60, 55, 40], means).statistic)
    assert (found.backbones, found.runs, found.metric) == (4, 6, "bbox AP")
    assert sentence(found, "top-1") == (
        "Rank correlation of top-1 and the bbox AP reached on cells is 0.40 (Spearman; 4 backbones,"
        " 6 runs)."
    )


def test_runs_of_other_settings_are_apart(write_run: WriteRun, tmp_path: Path) -> None:
    for place, sha256 in enumerate("abc"):
        write_run(sha256, 10.0 + place)
        write_run(sha256, 30.0 - place, schedule={"SOLVER.MAX_ITER": 99})
        write_run(sha256, 50.0 - place, kind="transfer")
    reached = read_reached([tmp_path / "runs"])
    found = correlations(reached, {"logme": {"a": 1.0, "b": 2.0, "c": 3.0}})
    assert [(one.metric, round(one.rho or 0, 6)) for one in found] == [
        ("bbox AP", 1.0),
        ("bbox AP", -1.0),
        ("top1", -1.0),
    ]
    assert found[2].setting == "dtd, fixed-feature, logreg"


def test_fewer_than_three_backbones_in_common_are_refused() -> None:
    reached = [Reached("cells", "bbox AP", {"a": [1.0], "b": [2.0], "x": [3.0]})]
    with pytest.raises(UserError, match=r"have 2 backbones of those that are ranked .* needs 3"):
        correlations(reached, {"top1": {"a": 1.0, "b": 2.0, "c": 3.0}})


def test_equal_scores_have_no_rank_correlation() -> None:
    reached = [Reached("cells", "bbox AP", {"a": [1.0], "b": [2.0], "c": [3.0]})]
    [found] = correlations(reached, {"top1": dict.fromkeys("abc", 5.0)})
    assert found.rho is None
    assert "is not defined, all being equal" in sentence(found, "top-1")


def test_a_run_without_a_figure_does_not_count(write_run: WriteRun, tmp_path: Path) -> None:
    for sha256, value in zip("abc", (1.0, 2.0, None), strict=True):
        write_run(sha256, value)
    [reached] = read_reached([tmp_path / "runs"])
    assert reached.values == {"a": [1.0], "b": [2.0]}


def test_no_records_and_records_of_others_are_refused(write_run: WriteRun, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(UserError, match=r"no run record in .*empty"):
        read_reached([tmp_path / "empty"])
    fields = {
        "data": {"train": {"images": 1, "classes": 2}, "val": {"images": 1}},
        "evaluators": [],
        "metrics": {},
        "processes": 1,
    }
    path = write_run("a", 1.0) / "record.json"
    record = json.loads(path.read_text())
    for key in ("schedule", "protocol", "detections", "segmentations", "pictures"):
        del record[key]
    path.write_text(json.dumps({**record, **fields, "kind": "pretrain"}))
    with pytest.raises(UserError, match="kind pretrain; --reached takes those of detectors and"):
        read_reached([path])
