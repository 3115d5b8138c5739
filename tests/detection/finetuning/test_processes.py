"""Two processes compute what one does with the same whole batch."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from robust_det.checkpoints.io import load_checkpoint
from robust_det.records import read_record

ROOT = Path(__file__).parents[3]
ENVIRONMENT = {**os.environ, "OMP_NUM_THREADS": "1"}


def run(*command):
    return subprocess.run(
        [sys.executable, *map(str, command)],
        cwd=ROOT,
        env=ENVIRONMENT,
        capture_output=True,
        text=True,
    )


@pytest.mark.slow
def test_two_processes_on_the_cpu_equal_one(tmp_path, write_config):
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
    tool = ["tools/train_net.py", "--config", config, "OUTPUT_DIR"]
    one, two = tmp_path / "one", tmp_path / "two"
    done = run(*tool, one)
    assert done.returncode == 0, done.stderr
    done = run("-m", "torch.distributed.run", "--standalone", "--nproc-per-node", 2, *tool, two)
    assert done.returncode == 0, done.stderr
    a, b = (load_checkpoint(folder / "model_final.pth")["model"] for folder in (one, two))
    start = load_checkpoint(read_weights(write_config))["model"]
    moved = 0.0
    for name, value in a.items():
        torch.testing.assert_close(b[name], value, rtol=1e-4, atol=1e-4)
        begun = start.get(name.removeprefix("backbone.bottom_up."))
        if begun is not None and begun.shape == value.shape:
            moved = max(moved, float((value - begun).abs().max()))
    assert moved > 1e-3  # it trained
    assert read_record(two).metrics.keys() == read_record(one).metrics.keys()


def read_weights(write_config):
    import yaml

    return yaml.safe_load(write_config("other.yaml").read_text())["MODEL"]["WEIGHTS"]


def test_torchrun_and_the_launcher_exclude_each_other(write_config):
    done = run(
        "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", 1,
        "tools/train_net.py", "--config", write_config(), "--num-gpus", 2,
    )  # fmt: skip
    assert done.returncode != 0
    assert "torchrun starts the processes; leave --num-gpus" in done.stderr
