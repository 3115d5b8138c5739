"""What is wrong is said in one line, and nothing is lost."""

from __future__ import annotations

import hashlib
import os
import pickle
import resource
import shutil
import sys
from pathlib import Path
from typing import Any

import pytest
import torch

from robust_det.checkpoints.io import load_checkpoint
from robust_det.core.errors import UserError


@pytest.fixture
def tree(image_tree: Path, tmp_path: Path) -> Path:
    """A tree of one's own, to damage."""
    return Path(shutil.copytree(image_tree, tmp_path / "data"))


@pytest.mark.parametrize(
    "overrides, message",
    [
        (["ATTACK.EPS", "-0.5"], "ATTACK.EPS must be at least 0, not -0.5"),
        (["ATTACK.NORM", "L_inf"], "unknown norm 'L_inf'; did you mean 'linf'?"),
        (
            ["ATTACK.OBJECTIVE", "margins"],
            "is one of cross_entropy, margin, dlr, not 'margins'; did you mean 'margin'?",
        ),
        (["EVAL.OBJECTIVE", "ce"], "EVAL.OBJECTIVE is one of cross_entropy, margin, dlr, not 'ce'"),
        (["EVAL.RESTARTS", "0"], "EVAL.RESTARTS must be at least 1, not 0"),
        (["ATTACK.FOLD_NORMS", "maybe"], "'ATTACK.FOLD_NORMS' needs a bool, not 'maybe'"),
        (["MODEL.ARCH", "resnet_50"], "unknown architecture 'resnet_50'; did you mean 'resnet50'?"),
        (["MODEL.STD", "[58.4, 57.1, 57.4]"], "need three numbers each, RGB in [0, 1], and STD"),
        (["OPTIM.LRR", "1"], "unknown config key 'OPTIM.LRR'; did you mean 'OPTIM.LR'?"),
        (["OPTIM.LR", "fast"], "config key 'OPTIM.LR' needs a number, not 'fast'"),
        (["OPTIM.SCHEDULE", "cosin"], "not 'cosin'; did you mean 'cosine'?"),
        (["TRAIN.PRECISION", "fp8"], "TRAIN.PRECISION is one of fp32, bf16, fp16, not 'fp8'"),
        (["OPTIM.EMA_DECAY", "1"], "OPTIM.EMA_DECAY must be below 1, not 1.0"),
        (["SEED", "5000000000"], "SEED is 5000000000, and seeds are from 0 to 2**32 - 1; give 0"),
        (["TRAIN.BATCH_SIZE", "37"], "TRAIN.BATCH_SIZE 37 is more than the 36 training images"),
        (["TRAIN.ACCUMULATE", "4"], "leaves less than 2 images for batch norm"),
        (["DEVICE", "gpu"], "unknown device 'gpu'"),
        (["DATA.ROOT", "/nowhere"], "no folder /nowhere/train; DATA.ROOT needs train/<class>/"),
        (["OPTIM.LR"], "overrides come as KEY VALUE pairs; 'OPTIM.LR' has no value"),
        (["--resum"], None),
        (["--eval-only"], "no checkpoint at "),
        (["--unknown", "1"], "(--help lists the arguments)"),
        (["OPTIM.LR", "1e30"], "lower OPTIM.LR"),
        (["MODEL.SYNC_NORMS", "True"], "MODEL.SYNC_NORMS needs GPUs; leave it out on the CPU"),
    ],
)
def test_wrong_settings(
    overrides: list[str], message: str | None, pretrain: Any, tmp_path: Path
) -> None:
    outcome = pretrain(*overrides)
    if message is None:  # argparse completes --resum, and there is nothing to resume from
        assert outcome.code == 0
        return
    assert message in outcome.error
    assert outcome.code == 2
    assert not (tmp_path / "run" / "last.pth").exists()


@pytest.mark.skipif(torch.cuda.is_available(), reason="needs a machine without CUDA")
def test_cuda_asked_for_and_absent(pretrain: Any) -> None:
    assert "there is no CUDA GPU; use cpu or auto" in pretrain("DEVICE", "cuda").error


def test_values_are_not_evaluated(pretrain: Any, tmp_path: Path) -> None:
    marker = tmp_path / "marker"
    code = f"__import__('pathlib').Path({str(marker)!r}).touch()"
    assert "needs a number" in pretrain("OPTIM.LR", code).error
    assert "unknown architecture" in pretrain("MODEL.ARCH", code).error
    assert not marker.exists()


def test_data_that_do_not_fit(pretrain: Any, tree: Path) -> None:
    (tree / "val" / "red").rename(tree / "val" / "crimson")
    error = pretrain("DATA.ROOT", tree).error
    assert "differ in classes: ['crimson', 'red']" in error
    (tree / "train" / "yellow").mkdir()
    assert "yellow holds no images" in pretrain("DATA.ROOT", tree).error
    shutil.rmtree(tree / "train")
    (tree / "train").mkdir()
    assert "holds no class folders" in pretrain("DATA.ROOT", tree).error


@pytest.mark.parametrize("split", ["train", "val"])
@pytest.mark.parametrize("workers", [0, 1])
def test_corrupt_image_stops_the_run_with_its_path(
    split: str, workers: int, pretrain: Any, tree: Path
) -> None:
    bad = tree / split / "green" / "01.jpg"
    bad.write_bytes(bad.read_bytes()[:200])
    error = pretrain("DATA.ROOT", tree, "DATA.WORKERS", workers, "TRAIN.EPOCHS", 1).error
    assert f"cannot decode {bad}" in error and "DATA.ON_CORRUPT skip" in error


def test_corrupt_images_are_skipped_and_counted(pretrain: Any, tree: Path, tmp_path: Path) -> None:
    for name in ("train/green/01.jpg", "train/red/02.png", "val/blue/00.png"):
        (tree / name).write_bytes(b"damaged")
    outcome = pretrain("DATA.ROOT", tree, "DATA.ON_CORRUPT", "skip", "TRAIN.EPOCHS", 1)
    assert outcome.code == 0, outcome.err
    assert "skipped 2 corrupt images in this epoch" in outcome.out
    line = (tmp_path / "run" / "metrics.jsonl").read_text()
    assert '"corrupt_skipped": 2' in line and '"corrupt": 1.0' in line
    for path in (tree / "train").rglob("*.*"):
        path.write_bytes(b"damaged")
    other = ("DATA.ROOT", tree, "DATA.ON_CORRUPT", "skip", "OUTPUT_DIR", tmp_path / "other")
    assert "nor any of the images after it" in pretrain(*other).error


def test_unexpected_errors_are_one_line_too_and_debug_shows_more(
    pretrain: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    from robust_det.training.engine import Engine

    def fail(self: Engine) -> None:
        raise ValueError("two\nlines")

    monkeypatch.setattr(Engine, "_finish_epoch", fail)
    outcome = pretrain()
    assert outcome.error == "error: unexpected ValueError: two lines (--debug shows the traceback)"
    assert outcome.code == 1
    outcome = pretrain("--debug", "--resume")
    assert "Traceback (most recent call last)" in outcome.err
    assert outcome.err.rstrip().splitlines()[-1].startswith("error: unexpected ValueError")


def test_eval_only_reports_and_refuses_another_architecture(
    pretrain: Any, tmp_path: Path, tree: Path
) -> None:
    assert pretrain("TRAIN.EPOCHS", 1).code == 0
    outcome = pretrain("--eval-only")
    assert outcome.code == 0
    assert "clean_top1: " in outcome.out and "adversarial_top1: " in outcome.out
    error = pretrain("--eval-only", "MODEL.ARCH", "resnet18").error
    assert "has MODEL.ARCH resnet10_narrow, not resnet18; leave MODEL.ARCH out" in error

    final = tmp_path / "run" / "final.pth"
    content = torch.load(final, weights_only=True)
    content["meta"]["arch"] = "resnet18"
    torch.save(content, tmp_path / "liar.pth")
    error = pretrain(
        "--eval-only", "--weights", tmp_path / "liar.pth", "MODEL.ARCH", "resnet18"
    ).error
    assert "says that it is resnet18, but its tensors are those of resnet10_narrow" in error
    for split in ("train", "val"):
        (tree / split / "red").rename(tree / split / "crimson")
    error = pretrain("--eval-only", "DATA.ROOT", tree).error
    assert "val/crimson is no class of the model; name the folders by its class names" in error


@pytest.mark.parametrize("part", [0.0, 0.001, 0.3, 0.9, 0.999])
def test_truncated_checkpoints_are_refused(
    part: float, pretrain: Any, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    weights = tmp_path / "whole.pth"
    content = {"format": "robust_det.pretrained/1", "model": {"w": torch.rand(5000)}}
    torch.save(content, weights)
    data = weights.read_bytes()
    cut = tmp_path / "run" / "last.pth"
    cut.parent.mkdir()
    cut.write_bytes(data[: int(len(data) * part)])
    error = pretrain("--resume").error
    what = "is truncated or not a checkpoint" if part else "is empty"
    assert f"checkpoint {cut} {what}" in error
    assert cut.stat().st_size == int(len(data) * part)


class Bomb:
    """Unpickling this calls a function of the file's choice."""

    def __init__(self, marker: Path) -> None:
        self.marker = marker

    def __reduce__(self) -> Any:
        return (os.mkdir, (str(self.marker),))


@pytest.mark.parametrize("kind", ["zip", "legacy", "pickle", "pickle4"])
def test_malicious_checkpoints_are_refused_and_not_executed(
    kind: str, pretrain: Any, tmp_path: Path
) -> None:
    marker, weights = tmp_path / "marker", tmp_path / "bad.pth"
    content = {"model": {"w": torch.zeros(2)}, "format": Bomb(marker)}
    if kind == "pickle":
        weights.write_bytes(pickle.dumps(content["format"], protocol=2))
    elif kind == "pickle4":
        weights.write_bytes(pickle.dumps({"format": content["format"]}, protocol=4))
    else:
        torch.save(content, weights, _use_new_zipfile_serialization=kind == "zip")
    error = pretrain("--eval-only", "--weights", weights).error
    if kind.startswith("pickle"):
        assert "which is not rebuilt, since that would run code" in error
    else:  # a placeholder stands for it, and the rest is no network
        assert "holds tensors that are not those of a registered architecture" in error
    assert not marker.exists()
    torch.load(weights, weights_only=False) if "pickle" not in kind else pickle.loads(
        weights.read_bytes()
    )
    assert marker.exists()  # it would have


def test_a_full_disk_keeps_the_previous_checkpoint(
    pretrain: Any, start: Any, finish: Any, tmp_path: Path
) -> None:
    assert pretrain("TRAIN.EPOCHS", 1).code == 0
    folder = tmp_path / "run"
    state = torch.load(folder / "last.pth", weights_only=True)
    state["config"]["TRAIN"]["EPOCHS"] = 2
    torch.save(state, folder / "last.pth")
    (folder / "final.pth").unlink()
    before = hashlib.sha256((folder / "last.pth").read_bytes()).digest()
    size = (folder / "last.pth").stat().st_size

    def small_disk() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (size // 2, size // 2))

    outcome = finish(start("--resume", "TRAIN.CHECKPOINT_STEPS", 2, preexec_fn=small_disk))
    assert f"cannot write {folder / 'last.pth'}" in outcome.error
    assert "the previous file is kept" in outcome.error
    assert hashlib.sha256((folder / "last.pth").read_bytes()).digest() == before
    assert not list(folder.glob(".*"))
    assert pretrain("--resume", "TRAIN.CHECKPOINT_STEPS", 2).code == 0


@pytest.mark.skipif(sys.platform != "linux", reason="/proc refuses everybody, root too")
def test_folder_that_cannot_be_written(pretrain: Any) -> None:
    outcome = pretrain("OUTPUT_DIR", "/proc/robust_det")
    assert outcome.error.startswith("error: ")
    assert "/proc/robust_det" in outcome.error


def test_output_folder_that_is_a_file(pretrain: Any, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    assert "is a file; give a folder" in pretrain("OUTPUT_DIR", tmp_path / "file").error


def test_any_damage_ends_in_a_user_error(tmp_path: Path) -> None:
    path = tmp_path / "x.pth"
    torch.save({"a": torch.rand(50), "b": [1, "two"]}, path, _use_new_zipfile_serialization=False)
    data = bytearray(path.read_bytes())
    generator = torch.Generator().manual_seed(0)
    for _ in range(150):
        damaged = bytearray(data)
        for position in torch.randint(0, len(data), (3,), generator=generator).tolist():
            damaged[position] = int(torch.randint(0, 256, (), generator=generator))
        path.write_bytes(bytes(damaged))
        try:
            load_checkpoint(path)  # damage to a number may go unnoticed
        except UserError as error:
            assert "\n" not in str(error)
