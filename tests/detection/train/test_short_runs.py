"""Runs of a few iterations."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from detectron2.utils.events import EventStorage
from pycocotools import mask

from robust_det.analysis.runs import runs_of
from robust_det.conversion.convert import convert
from robust_det.core.errors import UserError
from robust_det.detection.config import load_config
from robust_det.detection.finetuning.jobs import by_task, finetune
from robust_det.detection.finetuning.trainer import RobustTrainer
from robust_det.models import build_classifier
from robust_det.records import read_record
from robust_det.records.base import Weights
from robust_det.records.detection import DetectionRecord
from robust_det.records.store import load_records


def test_loss_goes_down_on_a_fixed_batch(write_config: Callable[..., Path]) -> None:
    overrides = ["MODEL.RESNETS.NORM", "BN", "SOLVER.WARMUP_ITERS", "0", "SOLVER.BASE_LR", "0.02"]
    cfg, _ = load_config(str(write_config()), overrides)
    torch.manual_seed(0)
    model = RobustTrainer.build_model(cfg).train()
    optimizer = RobustTrainer.build_optimizer(cfg, model)
    batch = next(iter(RobustTrainer.build_train_loader(cfg)))
    losses = []
    with EventStorage():
        for _ in range(40):
            loss = sum(model(batch).values())
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            losses.append(loss.item())
    assert sum(losses[-5:]) / 5 < 0.8 * sum(losses[:3]) / 3


def test_several_test_sets_and_evaluation_on_the_way(
    write_config: Callable[..., Path], scenes: Path, tmp_path: Path
) -> None:
    """Boxes alone, masks as run lengths in training, two test sets, evaluation every 2 steps."""
    document = json.loads((scenes / "annotations/instances_train.json").read_text())
    for a in document["annotations"]:
        encoded = mask.merge(mask.frPyObjects(a["segmentation"], 96, 96))
        a["segmentation"] = {"size": encoded["size"], "counts": encoded["counts"].decode()}
    (tmp_path / "rle.json").write_text(json.dumps(document))
    entries = load_config(str(write_config()))[0].DATASETS.CUSTOM
    rle = {"NAME": "scenes_rle", "JSON": str(tmp_path / "rle.json")}
    config = write_config(
        DATASETS={
            "CUSTOM": [*entries, {**rle, "IMAGES": str(scenes / "train")}],
            "TRAIN": ["scenes_rle"],
            "TEST": ["scenes_val", "scenes_rle"],
        },
        TEST={"EVAL_PERIOD": 2, "PICTURES": 1},
        SOLVER={"MAX_ITER": 4, "STEPS": [3], "IMS_PER_BATCH": 2},
    )
    cfg, card = load_config(str(config))
    finetune(cfg, card, "several")
    metrics = read_record(cfg.OUTPUT_DIR, DetectionRecord).metrics
    assert set(metrics) == {f"scenes_{s}/{t}" for s in ("val", "rle") for t in ("bbox", "segm")}
    (run,) = runs_of(load_records([cfg.OUTPUT_DIR], DetectionRecord))
    assert set(run.metrics) == set(metrics)
    lines = (Path(cfg.OUTPUT_DIR) / "metrics.json").read_text().splitlines()
    evaluated = [line for line in map(json.loads, lines) if "scenes_val/bbox/AP" in line]
    assert evaluated


def test_by_task() -> None:
    one = {"bbox": {"AP": 1.0}, "segm": {"AP": 2.0}}
    assert by_task(one) == one
    assert by_task({"a": one, "b": {"bbox": {"AP": 3.0}}}) == {
        "a/bbox": {"AP": 1.0},
        "a/segm": {"AP": 2.0},
        "b/bbox": {"AP": 3.0},
    }


def short(cfg_path: Any, *overrides: Any) -> Path:
    cfg, card = load_config(
        str(cfg_path), ["SOLVER.MAX_ITER", "1", "SOLVER.STEPS", "[]", *overrides]
    )
    finetune(cfg, card, "short")
    return Path(cfg.OUTPUT_DIR)


def test_without_a_backbone_the_record_says_so(write_config: Callable[..., Path]) -> None:
    folder = short(write_config(), "MODEL.WEIGHTS", "", "MODEL.BACKBONE.ARCH", "resnet10_narrow")
    record = read_record(folder, DetectionRecord)
    assert record.eps is None and record.weights == Weights("", "")
    # never taken for a standard backbone
    with pytest.raises(UserError, match="no detection run with an eps"):
        runs_of(load_records([folder], DetectionRecord))


@pytest.mark.parametrize("eps", [None, 0.0])
def test_weights_of_torchvision(
    eps: float | None, write_config: Callable[..., Path], tmp_path: Path
) -> None:
    state = build_classifier("resnet10_narrow", 4).body.state_dict()
    torch.save(state, tmp_path / "in.pth")
    convert(tmp_path / "in.pth", tmp_path / "out.pth", eps=eps)
    folder = short(write_config(), "MODEL.WEIGHTS", str(tmp_path / "out.pth"))
    if eps is None:
        with pytest.raises(UserError, match="no detection run with an eps"):
            runs_of(load_records([folder], DetectionRecord))
    else:
        (run,) = runs_of(load_records([folder], DetectionRecord))
        assert (run.eps, run.norm) == (0.0, None)


def test_a_detector_that_finds_nothing_has_an_ap_of_zero_in_both_tasks(
    write_config: Callable[..., Path],
) -> None:
    folder = short(write_config(), "MODEL.ROI_HEADS.SCORE_THRESH_TEST", "1.0")
    metrics = read_record(folder, DetectionRecord).metrics
    assert metrics["bbox"]["AP"] == metrics["segm"]["AP"] == 0.0


def test_divergence_is_one_line(write_config: Callable[..., Path]) -> None:
    cfg, card = load_config(
        str(write_config()), ["SOLVER.BASE_LR", "1e20", "SOLVER.WARMUP_ITERS", "0"]
    )
    with pytest.raises(
        UserError, match=r"diverged at iteration \d+ \(.* Images: .*\.png.*\); lower SOLVER"
    ):
        finetune(cfg, card, "x")
