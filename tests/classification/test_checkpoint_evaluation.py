"""--eval-only: the file says what it is, the config what is asked of it."""

from __future__ import annotations

import json
import os
import shutil
import signal
import time
from pathlib import Path
from typing import Any

import pytest
import torch

from robust_det.checkpoints.io import load_checkpoint, save_checkpoint
from robust_det.records import read_record
from robust_det.records.pretrain import ClassifierEvaluationRecord


@pytest.fixture
def trained(pretrain: Any, tmp_path: Path) -> Path:
    assert pretrain("OUTPUT_DIR", tmp_path / "first").code == 0
    return tmp_path / "first" / "final.pth"


def figures(outcome: Any) -> dict[str, float]:
    assert outcome.code == 0, outcome.err
    lines = [line.partition("] ")[2].split(": ") for line in outcome.out.splitlines()]
    return {line[0]: float(line[1]) for line in lines if line[0].endswith(("top1", "images"))}


def test_it_says_what_it_does_and_leaves_a_record(
    pretrain: Any, trained: Path, tmp_path: Path
) -> None:
    outcome = pretrain("--eval-only", "--weights", trained, "EVAL.ADVERSARIAL_IMAGES", 6)
    assert "resnet10_narrow, l2 eps 0.25, images of 32 px out of 32" in outcome.out
    attack = "attack: PGD, norm l2, eps 0.25, 1 steps of 0.625, 1 restarts"
    assert f"{attack}, objective margin, on 6 of 15 images" in outcome.out
    last = json.loads((trained.parent / "metrics.jsonl").read_text().splitlines()[-1])
    assert last["adversarial_attack"] == f"{attack[8:]}, objective margin, on 15 of 15 images"
    found = figures(outcome)
    assert found["clean_top1"] == pytest.approx(last["clean_top1"], abs=0.01)
    assert (found["val_images"], found["attacked_images"]) == (15, 6)
    record = read_record(tmp_path / "run" / "eval", ClassifierEvaluationRecord)
    assert record.metrics["clean_top1"] == last["clean_top1"]
    assert record.evaluators[0].images == 6 and record.data.images == 15
    # another one never takes its place
    assert pretrain("--eval-only", "--weights", trained).code == 0
    assert read_record(tmp_path / "run" / "eval", ClassifierEvaluationRecord) == record
    assert (tmp_path / "run" / "eval-2" / "record.json").exists()


def test_the_command_line_does_not_contradict_the_file(pretrain: Any, trained: Path) -> None:
    evaluate = ("--eval-only", "--weights", trained)
    error = pretrain(*evaluate, "ATTACK.NORM", "linf", "ATTACK.EPS", "4/255").error
    assert "has ATTACK.NORM l2, not linf; ATTACK.EPS 0.25" in error
    assert "leave ATTACK.NORM, ATTACK.EPS out; EVAL.NORM and EVAL.EPS" in error
    outcome = pretrain(*evaluate, "EVAL.NORM", "linf", "EVAL.EPS", "4/255")
    assert "norm linf, eps 0.0156863 (4/255)" in outcome.out
    assert "EVAL.NORM linf needs EVAL.EPS" in pretrain(*evaluate, "EVAL.NORM", "linf").error
    assert "give one" in pretrain(*evaluate, "--resume").error
    assert "give one" in pretrain(*evaluate, "--new-schedule").error


def test_keys_of_training_are_refused_and_those_of_no_attack_are_said(
    pretrain: Any, trained: Path
) -> None:
    evaluate = ("--eval-only", "--weights", trained)
    error = pretrain(*evaluate, "ATTACK.STEPS", 50, "TRAIN.EPOCHS", 3).error
    assert "ATTACK.STEPS, TRAIN.EPOCHS would have no effect on --eval-only" in error
    assert "leave them out, or set EVAL.STEPS" in error
    idle = "validation has no attack (eps 0): EVAL.STEPS, EVAL.RESTARTS without effect"
    words = ("EVAL.EPS", 0, "EVAL.STEPS", 20, "EVAL.RESTARTS", 2)
    assert idle in pretrain(*evaluate, *words).out
    assert "without effect" not in pretrain(*evaluate, "EVAL.STEPS", 2).out
    assert idle in pretrain("TRAIN.EPOCHS", 1, *words).out


def test_a_size_on_the_command_line_counts_and_is_said(
    pretrain: Any, trained: Path, tmp_path: Path
) -> None:
    outcome = pretrain("--eval-only", "--weights", trained, "DATA.IMAGE_SIZE", 16)
    assert f"{trained} has DATA.IMAGE_SIZE 32; 16 of the command line counts" in outcome.out
    assert "images of 16 px out of 32" in outcome.out
    assert read_record(tmp_path / "run" / "eval").config["DATA"]["IMAGE_SIZE"] == 16


def test_a_config_of_another_run_is_overruled_and_said(
    pretrain: Any, trained: Path, tiny: Path
) -> None:
    whole = figures(pretrain("--eval-only", "--weights", trained))
    text = tiny.read_text()
    tiny.write_text(text.replace("IMAGE_SIZE: 32, RESIZE: 32", "IMAGE_SIZE: 16, RESIZE: 16"))
    outcome = pretrain("--eval-only", "--weights", trained)
    assert f"{trained} has DATA.IMAGE_SIZE 32, not 16 of {tiny}, and counts" in outcome.out
    assert figures(outcome) == whole


def test_classes_are_told_by_their_names(pretrain: Any, trained: Path, tmp_path: Path) -> None:
    whole = figures(pretrain("--eval-only", "--weights", trained))
    content = load_checkpoint(trained)
    content["meta"]["classes"] = ["red", "green", "blue"]
    for kind in ("model", "ema"):
        for name in ("fc.weight", "fc.bias"):
            content[kind][name] = content[kind][name].flip(0)
    save_checkpoint(tmp_path / "turned.pth", content)
    assert figures(pretrain("--eval-only", "--weights", tmp_path / "turned.pth")) == whole


def test_a_plain_state_dict_and_a_part_of_its_classes(
    pretrain: Any, trained: Path, tmp_path: Path, image_tree: Path
) -> None:
    whole = figures(pretrain("--eval-only", "--weights", trained, "EVAL.EPS", 0))
    plain = tmp_path / "plain.pth"
    torch.save(load_checkpoint(trained)["ema"], plain)
    outcome = pretrain("--eval-only", "--weights", plain, "EVAL.EPS", 0)
    assert "does not name its classes" in outcome.out and "does not say its threat" in outcome.out
    assert figures(outcome) == whole
    part = shutil.copytree(image_tree, tmp_path / "part")
    shutil.rmtree(part / "val" / "blue")
    error = pretrain("--eval-only", "--weights", plain, "DATA.ROOT", part).error
    assert "has 2 class folders, but the model has 3 classes" in error
    outcome = pretrain("--eval-only", "--weights", trained, "DATA.ROOT", part)
    assert "has images of 2 of the 3 classes" in outcome.out
    assert figures(outcome)["val_images"] == 10


def test_an_evaluation_that_a_signal_ends_leaves_nothing_and_says_so(
    trained: Path, tmp_path: Path, start: Any, finish: Any, pretrain: Any
) -> None:
    numbers = (signal.SIGTERM, signal.SIGUSR1, signal.SIGINT)
    slow = ("EVAL.STEPS", 10**6, "DATA.WORKERS", 2)
    runs = {
        n: start("--eval-only", "--weights", trained, *slow, "OUTPUT_DIR", tmp_path / n.name)
        for n in numbers
    }
    for number, process in runs.items():
        folder = tmp_path / number.name / "eval"
        # its lock is taken when it begins, and its workers are there soon after
        deadline = time.monotonic() + 90
        while not folder.exists() or workers_of(process.pid) < 2:
            assert process.poll() is None and time.monotonic() < deadline
            time.sleep(0.01)
        for _ in range(4):  # to every process, workers included
            os.killpg(process.pid, number)
            time.sleep(0.02)
        outcome = finish(process)
        assert outcome.code == 128 + number, outcome.err
        assert outcome.error in ("error: terminated", "error: interrupted")
        assert not folder.parent.exists()
        with pytest.raises(ProcessLookupError):  # no worker is left
            os.killpg(process.pid, 0)
    # the next one uses the same folder
    again = pretrain("--eval-only", "--weights", trained, "OUTPUT_DIR", tmp_path / "SIGTERM")
    assert again.code == 0 and (tmp_path / "SIGTERM" / "eval" / "record.json").exists()


def workers_of(pid: int) -> int:
    """How many processes a process has started."""
    return len(Path(f"/proc/{pid}/task/{pid}/children").read_text().split())
