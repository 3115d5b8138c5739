"""Two processes compute what one does with the same whole batch."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from robust_det.checkpoints.io import load_checkpoint
from robust_det.records import read_record
from robust_det.records.detection import DetectionRecord
from tests.support import run_tool

TORCHRUN = ("-m", "torch.distributed.run", "--standalone", "--nproc-per-node")


@pytest.mark.slow
def test_two_processes_on_the_cpu_equal_one(
    tmp_path: Path, write_config: Callable[..., Path]
) -> None:
    # every anchor and proposal counts, and each image has as many: means over processes are then
    # means over images
    config = write_config(
        MODEL={
            "WEIGHTS": read_weights(write_config),
            "MASK_ON": False,
            "FPN": {"OUT_CHANNELS": 32},
            "ROI_BOX_HEAD": {"FC_DIM": 64},
            "RPN": {
                "BATCH_SIZE_PER_IMAGE": 100_000,
                "NMS_THRESH": 1.0,
                "PRE_NMS_TOPK_TRAIN": 30,
                "POST_NMS_TOPK_TRAIN": 30,
            },
            "ROI_HEADS": {"BATCH_SIZE_PER_IMAGE": 100_000, "PROPOSAL_APPEND_GT": False},
        },
        SOLVER={
            "MAX_ITER": 6,
            "STEPS": [5],
            "IMS_PER_BATCH": 4,
            "CHECKPOINT_PERIOD": 100,
            "WARMUP_ITERS": 1,
            "BASE_LR": 0.05,
        },
        INPUT={"MIN_SIZE_TRAIN": [80, 96], "MAX_SIZE_TRAIN": 96, "MIN_SIZE_TEST": 96},
        TEST={"PICTURES": 0},
    )
    one, two = tmp_path / "one", tmp_path / "two"
    for folder, launcher in ((one, ()), (two, (*TORCHRUN, "2"))):
        arguments = ("--config", config, "OUTPUT_DIR", folder)
        done = run_tool("train_net", *arguments, process=True, launcher=launcher)
        assert done.code == 0, done.err
    a, b = (load_checkpoint(folder / "model_final.pth")["model"] for folder in (one, two))
    start = load_checkpoint(read_weights(write_config))["model"]
    moved = 0.0
    for name, value in a.items():
        torch.testing.assert_close(b[name], value, rtol=1e-4, atol=1e-4)
        begun = start.get(name.removeprefix("backbone.bottom_up."))
        if begun is not None and begun.shape == value.shape:
            moved = max(moved, float((value - begun).abs().max()))
    assert moved > 1e-3  # it trained
    both = [read_record(folder, DetectionRecord) for folder in (one, two)]
    assert both[0].metrics.keys() == both[1].metrics.keys()


def read_weights(write_config: Any) -> Any:
    import yaml

    return yaml.safe_load(write_config("other.yaml").read_text())["MODEL"]["WEIGHTS"]


def test_torchrun_and_the_launcher_exclude_each_other(write_config: Callable[..., Path]) -> None:
    arguments = ("--config", write_config(), "--num-gpus", 2)
    done = run_tool("train_net", *arguments, process=True, launcher=(*TORCHRUN, "1"))
    assert done.code != 0
    assert "torchrun starts the processes; leave --num-gpus" in done.err
