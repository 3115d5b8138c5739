"""A run that was stopped goes on as if it had not been."""

import time
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
import yaml

from robust_det.checkpoints.io import load_checkpoint
from robust_det.core.errors import UserError
from robust_det.detection.config import load_config
from robust_det.detection.finetuning.resuming import standing_of
from robust_det.detection.finetuning.trainer import RobustTrainer
from tests.support import run_tool, start_tool


def test_a_run_from_before_a_key_goes_on(write_config: Callable[..., Path], tmp_path: Path) -> None:
    cfg, _ = load_config(str(write_config()), ["OUTPUT_DIR", str(tmp_path)])
    earlier = yaml.safe_load(cfg.dump())
    del earlier["DATASETS"]["CROWD"]
    (tmp_path / "config.yaml").write_text(yaml.safe_dump(earlier))
    (tmp_path / "last_checkpoint").touch()
    assert not standing_of(cfg, resume=True).finished
    (tmp_path / "config.yaml").write_text(yaml.safe_dump({**earlier, "SEED": 5}))
    with pytest.raises(UserError, match=r"another config \(SEED: 5 -> 0\)"):
        standing_of(cfg, resume=True)


def test_after_sigkill_the_data_and_the_losses_are_the_same(
    tmp_path: Path, write_config: Callable[..., Path]
) -> None:
    """Random flips and scales, momentum, averaged weights, accumulation: all of it comes back,
    however many processes load."""
    config = write_config(
        INPUT={"MIN_SIZE_TRAIN": [80, 96, 112], "MAX_SIZE_TRAIN": 112},
        SOLVER={
            "MAX_ITER": 10,
            "STEPS": [7],
            "IMS_PER_BATCH": 2,
            "CHECKPOINT_PERIOD": 2,
            "ACCUMULATE": 2,
            "EMA": {"ENABLED": True, "DECAY": 0.99},
        },
        TEST={"PICTURES": 0},
    )
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    arguments = ("--config", config, "OUTPUT_DIR")
    first = run_tool("train_net", *arguments, whole, process=True)
    assert first.code == 0, first.err

    workers = ("DATALOADER.NUM_WORKERS", 2)
    second = start_tool("train_net", *arguments, killed, *workers)
    while not (killed / "model_0000003.pth").exists() and second.poll() is None:
        time.sleep(0.05)
    second.kill()
    second.communicate()
    assert not (killed / "model_final.pth").exists()
    third = run_tool("train_net", "--resume", *arguments, killed, process=True)
    assert third.code == 0, third.err

    # equal to the last bit, as they only are if every batch and every draw was the same
    one, other = (load_checkpoint(f / "model_final.pth") for f in (whole, killed))
    for part in ("model", "average"):
        a, b = (c[part].get("values", c[part]) for c in (one, other))
        assert a.keys() == b.keys() and all(torch.equal(a[name], b[name]) for name in a)


def test_a_batch_is_a_function_of_the_seed(write_config: Callable[..., Path]) -> None:
    cfg, _ = load_config(str(write_config()))
    Path(cfg.OUTPUT_DIR).mkdir()
    one, other = RobustTrainer(cfg).data_loader, RobustTrainer(cfg).data_loader
    other.plan.draws._seed = one.plan.draws._seed
    first = [batch for batch, _ in zip(one, range(5), strict=False)]
    other.plan.start = 3
    later = [batch for batch, _ in zip(other, range(2), strict=False)]
    for a, b in zip(first[3:], later, strict=True):
        assert [x["file_name"] for x in a] == [x["file_name"] for x in b]
        assert all(torch.equal(x["image"], y["image"]) for x, y in zip(a, b, strict=True))
    names = {x["file_name"] for batch in first for x in batch}
    assert len(names) > 4
