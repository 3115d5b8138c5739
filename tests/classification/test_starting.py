"""--weights: a run starts from a file, and says so."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch

from robust_det.checkpoints.io import load_checkpoint, save_checkpoint
from robust_det.core.files import sha256_file

STILL = ("OPTIM.LR", 1e-12, "TRAIN.EPOCHS", 1, "OPTIM.EMA_DECAY", 0)


@pytest.fixture
def trained(pretrain: Any, tmp_path: Path) -> Path:
    """The final weights of a run of one epoch."""
    assert pretrain("TRAIN.EPOCHS", 1, "OUTPUT_DIR", tmp_path / "first").code == 0
    return tmp_path / "first" / "final.pth"


def parameters(path: Path, kind: str = "model") -> dict[str, torch.Tensor]:
    tensors = load_checkpoint(path)[kind]
    return {k: v for k, v in tensors.items() if "running" not in k and "num_batches" not in k}


def test_a_run_starts_from_the_weights_and_says_so(
    pretrain: Any, trained: Path, tmp_path: Path
) -> None:
    outcome = pretrain("--weights", trained, *STILL)
    assert outcome.code == 0, outcome.err
    assert f"starting from {trained}" in outcome.out and "its head is kept" in outcome.out
    before, after = parameters(trained, "ema"), parameters(tmp_path / "run" / "final.pth")
    assert all(torch.allclose(before[k], after[k], atol=1e-7) for k in before)
    known = {"path": str(trained), "sha256": sha256_file(trained)}
    assert json.loads((tmp_path / "run" / "record.json").read_text())["started_from"] == known
    assert load_checkpoint(tmp_path / "run" / "last.pth")["started_from"] == known


def test_other_classes_get_a_new_head(
    pretrain: Any, trained: Path, tmp_path: Path, image_tree: Path
) -> None:
    tree = shutil.copytree(image_tree, tmp_path / "data")
    for split in ("train", "val"):
        (tree / split / "red").rename(tree / split / "crimson")
    outcome = pretrain("--weights", trained, *STILL, "DATA.ROOT", tree)
    assert "the head of 3 classes is new" in outcome.out and "of other names" in outcome.out
    before, after = parameters(trained, "ema"), parameters(tmp_path / "run" / "final.pth")
    same = {k for k in before if torch.allclose(before[k], after[k], atol=1e-7)}
    assert set(before) - same == {"fc.weight", "fc.bias"}


def test_rows_of_the_head_follow_the_names(pretrain: Any, trained: Path, tmp_path: Path) -> None:
    content = load_checkpoint(trained)
    content["meta"]["classes"] = ["red", "blue", "green"]
    save_checkpoint(tmp_path / "other.pth", content)
    assert "in the data's order" in pretrain("--weights", tmp_path / "other.pth", *STILL).out
    after = parameters(tmp_path / "run" / "final.pth")
    before = parameters(trained, "ema")["fc.bias"]
    assert torch.allclose(after["fc.bias"], before[[1, 2, 0]], atol=1e-7)


def test_what_does_not_fit_is_refused(pretrain: Any, trained: Path, tmp_path: Path) -> None:
    error = pretrain("--weights", trained, "MODEL.ARCH", "resnet18").error
    assert "holds a resnet10_narrow, the config asks for resnet18" in error
    error = pretrain("--weights", trained, "MODEL.MEAN", "[0.5, 0.5, 0.5]").error
    assert 'set MODEL.MEAN "[0.485, 0.456, 0.406]"' in error
    assert not (tmp_path / "run").exists()


def test_on_resume_the_checkpoint_counts(pretrain: Any, trained: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    assert pretrain("TRAIN.EPOCHS", 1).code == 0
    error = pretrain("TRAIN.EPOCHS", 1, "--resume", "--weights", trained).error
    assert "started from random weights, and --resume goes on from it: leave --weights" in error
    shutil.rmtree(run)
    assert pretrain(*STILL, "--weights", trained).code == 0
    # as a scheduler repeats the same command
    assert pretrain(*STILL, "--weights", trained, "--resume").code == 0
    assert pretrain(*STILL, "--resume").code == 0
    error = pretrain(*STILL, "--resume", "--weights", run / "last.pth").error
    assert f"started from {trained}, and --resume" in error
