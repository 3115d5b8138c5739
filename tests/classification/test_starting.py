"""--weights and MODEL.INIT: a run starts from a file, and says so."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch

from robust_det.checkpoints.io import load_checkpoint, save_checkpoint
from robust_det.core.files import sha256_file
from robust_det.models.stages import tensor_stages

STILL = ("OPTIM.LR", 1e-12, "TRAIN.EPOCHS", 1, "OPTIM.EMA_DECAY", 0)


@pytest.fixture
def trained(pretrain: Any, tmp_path: Path) -> Path:
    """The final weights of a run of one epoch."""
    assert pretrain("TRAIN.EPOCHS", 1, "OUTPUT_DIR", tmp_path / "first").code == 0
    return tmp_path / "first" / "final.pth"


def raw(path: Path) -> dict[str, torch.Tensor]:
    return dict(load_checkpoint(path)["ema"])


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


def test_a_session_without_weights_says_what_the_run_started_from(
    pretrain: Any, trained: Path, tmp_path: Path
) -> None:
    run, longer = tmp_path / "run", ("TRAIN.EPOCHS", 2, "OPTIM.LR", 1e-12, "OPTIM.EMA_DECAY", 0)

    def inits() -> list[str]:
        record = json.loads((run / "record.json").read_text())
        assert record["started_from"]["path"] == str(trained)
        configs = (record["config"], load_checkpoint(run / "last.pth")["config"])
        return [config["MODEL"]["INIT"] for config in configs]

    assert pretrain(*STILL, "--weights", trained).code == 0
    (run / "record.json").unlink()
    assert pretrain(*STILL, "--resume").code == 0
    assert inits() == [str(trained)] * 2
    # as earlier versions left it
    content = load_checkpoint(run / "last.pth")
    content["config"]["MODEL"]["INIT"] = ""
    save_checkpoint(run / "last.pth", content)
    assert pretrain(*longer, "--resume", "--new-schedule").code == 0
    assert inits() == [str(trained)] * 2


def test_a_config_says_what_a_run_starts_from(
    pretrain: Any, trained: Path, tmp_path: Path, tiny: Path
) -> None:
    config = tmp_path / "init.yaml"
    config.write_text(f"_BASE_: {tiny}\nMODEL: {{INIT: {trained}}}\n")
    assert pretrain("--weights", trained, *STILL, "OUTPUT_DIR", tmp_path / "other").code == 0
    outcome = pretrain(*STILL, config=config)
    assert f"starting from {trained}" in outcome.out and "its head is kept" in outcome.out
    ours, theirs = (load_checkpoint(tmp_path / name / "last.pth") for name in ("run", "other"))
    assert ours["started_from"] == theirs["started_from"]
    assert ours["config"]["MODEL"] == theirs["config"]["MODEL"]
    for name, value in theirs["model"].items():
        assert torch.equal(ours["model"][name], value), name
    assert pretrain(*STILL, "--resume", config=config).code == 0

    error = pretrain("--weights", trained, "MODEL.INIT", "robust://other", "--resume").error
    assert f"--weights {trained} and MODEL.INIT robust://other contradict; give one" in error
    # what is validated is another matter
    idle = pretrain("--eval-only", "--weights", trained, "MODEL.INIT", trained).error
    assert "MODEL.INIT would have no effect on --eval-only" in idle
    assert pretrain("--eval-only", config=config).code == 0


def test_a_name_of_the_zoo_is_a_start_as_well(
    pretrain: Any, trained: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = []

    def located(name: str) -> Path:
        asked.append(name)
        return trained

    monkeypatch.setattr("robust_det.zoo.load.locate_backbone", located)
    assert f"starting from {trained}" in pretrain("MODEL.INIT", "robust://some", *STILL).out
    assert asked == ["robust://some"]


def test_a_start_of_values_that_are_none_is_refused(
    pretrain: Any, trained: Path, tmp_path: Path
) -> None:
    content = load_checkpoint(trained)
    content["ema"]["layer1.0.conv1.weight"].view(-1)[:2] = torch.tensor([torch.nan, torch.inf])
    save_checkpoint(tmp_path / "nan.pth", content)
    error = pretrain("MODEL.INIT", tmp_path / "nan.pth").error
    assert "nan.pth is damaged or diverged: 2 of " in error
    assert "values of layer1.0.conv1.weight are NaN or Inf" in error
    assert (
        "holds a resnet10_narrow" in pretrain("MODEL.INIT", trained, "MODEL.ARCH", "resnet18").error
    )
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("last", ["stem", "res4"])
def test_frozen_stages_stay_bit_for_bit_with_their_statistics(
    last: str, pretrain: Any, trained: Path, tmp_path: Path
) -> None:
    words = ("MODEL.INIT", trained, "MODEL.FREEZE", last, "TRAIN.EPOCHS", 1, "OPTIM.EMA_DECAY", 0)
    outcome = pretrain(*words, "TRAIN.AWP_GAMMA", 0.01)
    assert outcome.code == 0, outcome.err
    after, before = load_checkpoint(tmp_path / "run" / "final.pth")["model"], raw(trained)
    stages = tensor_stages("resnet10_narrow")
    order = ("stem", "res2", "res3", "res4", "res5", "head")
    frozen = order[: order.index(last) + 1]
    same = {name for name, value in after.items() if torch.equal(value, before[name])}
    assert same == {name for name in after if stages[name] in frozen}
    parameters = {name for name in same if "running" not in name and "num_batches" not in name}
    assert f"frozen up to {last}: {len(parameters)} of " in outcome.out


def test_random_weights_are_not_frozen(pretrain: Any, trained: Path) -> None:
    error = pretrain("MODEL.FREEZE", "res2").error
    assert "MODEL.FREEZE res2 would keep random weights as they are; give MODEL.INIT" in error
    words = ("MODEL.FREEZE", "res2", "TRAIN.METHOD", "trades", "TRAIN.TRADES_BETA", 6)
    error = pretrain("MODEL.INIT", trained, *words, "MODEL.SEPARATE_NORMS", True).error
    assert "MODEL.SEPARATE_NORMS adds norms that are of no stage" in error
