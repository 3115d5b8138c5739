"""Mask R-CNN learns from jittered and pasted images, and a run with them can be resumed."""

import json
import math
import shutil
from collections.abc import Callable
from pathlib import Path

import torch
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from robust_det.checkpoints.io import load_checkpoint
from robust_det.detection.config import load_config
from robust_det.detection.finetuning.jobs import finetune


def test_training_and_resuming(write_config: Callable[..., Path], tmp_path: Path) -> None:
    config = write_config(
        INPUT={
            "MASK_FORMAT": "bitmask",
            "LSJ": {"ENABLED": True, "SIZE": 96},
            "COPY_PASTE": {"PROB": 1.0},
            "MIN_SIZE_TEST": 96,
            "MAX_SIZE_TEST": 96,
        },
        SOLVER={"MAX_ITER": 4, "STEPS": [3], "IMS_PER_BATCH": 2, "CHECKPOINT_PERIOD": 2},
        TEST={"PICTURES": 0},
    )
    whole, half = tmp_path / "whole", tmp_path / "half"
    finetune(*load_config(str(config), ["OUTPUT_DIR", str(whole)]), "whole")
    lines = [json.loads(line) for line in (whole / "metrics.json").read_text().splitlines()]
    losses = [line["loss_mask"] for line in lines if "loss_mask" in line]
    assert losses and all(math.isfinite(loss) for loss in losses)

    # as after a kill between the first checkpoint and the second
    half.mkdir()
    for name in ("config.yaml", "model_0000001.pth"):
        shutil.copy(whole / name, half / name)
    shutil.copy(whole / "metrics.json", half)
    shutil.copytree(whole / "tensorboard", half / "tensorboard")
    (half / "last_checkpoint").write_text("model_0000001.pth")
    finetune(*load_config(str(config), ["OUTPUT_DIR", str(half)]), "half", resume=True)
    one, other = (load_checkpoint(Path(f) / "model_final.pth")["model"] for f in (whole, half))
    assert one.keys() == other.keys()
    assert all(torch.equal(one[name], other[name]) for name in one)

    # what it did again is there once
    again = [json.loads(line) for line in (half / "metrics.json").read_text().splitlines()]
    assert [line["iteration"] for line in again] == [line["iteration"] for line in lines]
    events = EventAccumulator(str(half / "tensorboard"), {"scalars": 0})
    events.Reload()
    steps = [event.step for event in events.Scalars("total_loss")]
    assert steps == [line["iteration"] for line in lines if "total_loss" in line]
