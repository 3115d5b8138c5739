"""Killed, stopped and finished runs continue exactly."""

from __future__ import annotations

import json
import os
import shutil
import signal
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from robust_det.classification.going_on import Earlier
from robust_det.classification.pretraining import Pretraining
from robust_det.classification.pretraining import pretrain as run_config
from robust_det.classification.settings import load_config
from robust_det.core.files import sha256_file

LONG = ("TRAIN.EPOCHS", 3, "TRAIN.CHECKPOINT_STEPS", 1)


def wait_for_mid_epoch(process: Any, last: Path, epoch_steps: int = 6) -> int:
    """Stop the process as soon as a checkpoint of the middle of an epoch is there."""
    deadline = time.monotonic() + 90
    while time.monotonic() < deadline:
        assert process.poll() is None, process.communicate()[1]
        if last.exists():
            # frozen, it cannot go on while we look
            os.kill(process.pid, signal.SIGSTOP)
            step = int(torch.load(last, weights_only=True)["step"])
            if step % epoch_steps in (1, 2, 3, 4):
                return step
            os.kill(process.pid, signal.SIGCONT)
        time.sleep(0.005)
    raise AssertionError("no checkpoint in the middle of an epoch")


def epochs_of(folder: Path) -> list[int]:
    return [
        json.loads(line)["epoch"] for line in (folder / "metrics.jsonl").read_text().splitlines()
    ]


def metrics_of(folder: Path) -> list[dict[str, Any]]:
    lines = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    clocks = ("seconds", "images_per_second")
    return [{k: v for k, v in line.items() if k not in clocks} for line in lines]


@pytest.mark.parametrize("workers, exact", [(0, False), (2, False), (2, True)])
def test_sigkill_in_mid_epoch_then_resume_equals_an_uninterrupted_run(
    workers: int,
    exact: bool,
    tmp_path: Path,
    start: Any,
    pretrain: Any,
    assert_same_tensors: Callable[[Path, Path], None],
) -> None:
    whole, broken = tmp_path / "whole", tmp_path / "broken"
    options: tuple[object, ...] = ("ATTACK.ITERATE", "best", "OPTIM.LABEL_SMOOTHING", 0.1)
    options += ("DATA.COLOR_JITTER", 0.2, "DATA.EXACT_DECODE", exact)
    assert pretrain(*LONG, *options, "OUTPUT_DIR", whole).code == 0

    arguments = (*LONG, *options, "OUTPUT_DIR", broken, "DATA.WORKERS", workers)
    process = start(*arguments)
    step = wait_for_mid_epoch(process, broken / "last.pth")
    os.killpg(process.pid, signal.SIGKILL)
    process.communicate()
    assert process.returncode == -signal.SIGKILL
    assert step % 6 != 0 and not (broken / "final.pth").exists()

    resumed = pretrain("--resume", *arguments)
    assert resumed.code == 0, resumed.err
    assert f"resuming {broken} at epoch" in resumed.out
    assert_same_tensors(whole / "last.pth", broken / "last.pth")
    final = [torch.load(f / "final.pth", weights_only=True)["ema"] for f in (whole, broken)]
    assert all(torch.equal(final[0][key], final[1][key]) for key in final[0])
    assert epochs_of(broken) == [1, 2, 3]
    assert metrics_of(broken) == metrics_of(whole)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGUSR1, signal.SIGINT])
def test_a_signal_saves_and_exits_cleanly(
    number: signal.Signals,
    tmp_path: Path,
    start: Any,
    finish: Any,
    pretrain: Any,
    assert_same_tensors: Callable[[Path, Path], None],
) -> None:
    whole, stopped = tmp_path / "whole", tmp_path / "stopped"
    assert pretrain(*LONG, "OUTPUT_DIR", whole).code == 0
    # a scheduler signals the whole group, and more than once: workers must not die of it
    process = start(*LONG, "OUTPUT_DIR", stopped, "DATA.WORKERS", 2)
    step = wait_for_mid_epoch(process, stopped / "last.pth")
    for _ in range(3):
        os.killpg(process.pid, number)
    os.killpg(process.pid, signal.SIGCONT)
    os.killpg(process.pid, number)
    outcome = finish(process)
    assert outcome.code == 128 + number, outcome.err
    by = "Ctrl-C" if number == signal.SIGINT else number.name
    assert f"stopped by {by} at epoch" in outcome.out
    assert "last.pth; to go on: python " in outcome.out
    assert outcome.err.count("error") == (number == signal.SIGINT)  # error: interrupted
    saved = int(torch.load(stopped / "last.pth", weights_only=True)["step"])
    assert step <= saved <= step + 2

    assert pretrain("--resume", *LONG, "OUTPUT_DIR", stopped).code == 0
    assert_same_tensors(whole / "last.pth", stopped / "last.pth")
    assert metrics_of(stopped) == metrics_of(whole)


def test_sigterm_during_validation_repeats_the_validation(
    tmp_path: Path,
    pretrain: Any,
    monkeypatch: pytest.MonkeyPatch,
    assert_same_tensors: Callable[[Path, Path], None],
) -> None:
    whole, stopped = tmp_path / "whole", tmp_path / "stopped"
    assert pretrain("OUTPUT_DIR", whole).code == 0
    validate = Pretraining.validate

    def interrupted(self: Pretraining, stop: Callable[[], bool]) -> Any:
        os.kill(os.getpid(), signal.SIGTERM)
        return validate(self, stop)

    with monkeypatch.context() as patch:
        patch.setattr(Pretraining, "validate", interrupted)
        for _ in range(2):  # the second time it has nothing to train, only to validate
            outcome = pretrain("--resume", "OUTPUT_DIR", stopped)
            assert outcome.code == 143 and "stopped by SIGTERM" in outcome.out
            assert not (stopped / "metrics.jsonl").exists()
    assert "holds no run to go on with" not in pretrain("--resume", "OUTPUT_DIR", stopped).out
    begun = pretrain("--resume", "OUTPUT_DIR", stopped.with_name("mistyped"))
    assert begun.code == 0 and "mistyped holds no run to go on with: one begins" in begun.out
    assert_same_tensors(whole / "last.pth", stopped / "last.pth")
    assert metrics_of(stopped) == metrics_of(whole)


def test_sigterm_in_the_last_step_still_ends_the_run_properly(
    tmp_path: Path, pretrain: Any
) -> None:
    folder = tmp_path / "run"

    def soon() -> None:
        while not (folder / "last.pth").exists():
            time.sleep(0.002)
        os.kill(os.getpid(), signal.SIGTERM)

    # one epoch of one step: whenever the signal comes, the run must be complete after resuming
    one = ("TRAIN.EPOCHS", 1, "TRAIN.BATCH_SIZE", 36)
    thread = threading.Thread(target=soon)
    before = signal.signal(signal.SIGTERM, signal.SIG_IGN)  # in case it comes after the run
    thread.start()
    try:
        # cut off in the validation, or finished
        assert pretrain(*one).code in (0, 143)
        thread.join()
        assert pretrain("--resume", *one).code == 0
    finally:
        signal.signal(signal.SIGTERM, before)
    assert (folder / "final.pth").exists() and epochs_of(folder) == [1]


def test_finished_run_has_nothing_to_do(tmp_path: Path, pretrain: Any) -> None:
    assert pretrain().code == 0
    before = {p.name: p.stat().st_mtime_ns for p in (tmp_path / "run").iterdir()}
    again = pretrain("--resume")
    assert again.code == 0 and "is finished already; nothing to do" in again.out
    assert {p.name: p.stat().st_mtime_ns for p in (tmp_path / "run").iterdir()} == before
    assert "holds a run; pass --resume" in pretrain().error


@pytest.mark.parametrize("gone", [("final.pth",), ("record.json",), ("final.pth", "record.json")])
def test_a_finished_run_whose_results_are_gone_has_them_again(
    gone: tuple[str, ...], tmp_path: Path, pretrain: Any
) -> None:
    assert pretrain("TRAIN.EPOCHS", 1).code == 0
    folder = tmp_path / "run"
    before = torch.load(folder / "final.pth", weights_only=True)
    record = json.loads((folder / "record.json").read_text())
    for name in gone:
        (folder / name).unlink()
    again = pretrain("--resume", "TRAIN.EPOCHS", 1)
    assert again.code == 0 and f"{' and '.join(gone)} had gone, written again" in again.out
    after = torch.load(folder / "final.pth", weights_only=True)
    assert all(torch.equal(before["ema"][key], after["ema"][key]) for key in before["ema"])
    written = json.loads((folder / "record.json").read_text())
    assert written["metrics"] == record["metrics"] and written["seed"] == record["seed"]
    assert written["weights"]["sha256"] == sha256_file(folder / "final.pth")

    (folder / "final.pth").unlink()
    (folder / "metrics.jsonl").unlink()
    refused = pretrain("--resume", "TRAIN.EPOCHS", 1)
    assert refused.code == 2 and "metrics.jsonl does not have epoch 1" in refused.error


def test_resume_refuses_another_config_with_the_keys(tmp_path: Path, pretrain: Any) -> None:
    assert pretrain("TRAIN.EPOCHS", 1).code == 0
    last = (tmp_path / "run" / "last.pth").read_bytes()
    error = pretrain("--resume", "TRAIN.EPOCHS", 1, "OPTIM.LR", 0.5, "ATTACK.EPS", "4/255").error
    assert "OPTIM.LR: 0.02 -> 0.5" in error and "ATTACK.EPS: 0.25 -> 0.01568" in error
    assert "TRAIN.EPOCHS" not in error
    assert (tmp_path / "run" / "last.pth").read_bytes() == last
    # where the data lie and how many workers read them change nothing
    assert pretrain("--resume", "TRAIN.EPOCHS", 1, "DATA.WORKERS", 1).code == 0


def test_a_run_older_than_fast_decoding_goes_on_exactly_or_not_at_all(
    tmp_path: Path, pretrain: Any
) -> None:
    exactly = ("TRAIN.EPOCHS", 1, "DATA.EXACT_DECODE", True)
    assert pretrain(*exactly).code == 0
    folder = tmp_path / "run"
    (folder / "final.pth").unlink()
    state = torch.load(folder / "last.pth", weights_only=True)
    del state["config"]["DATA"]["EXACT_DECODE"]
    torch.save(state, folder / "last.pth")
    error = pretrain("--resume", "TRAIN.EPOCHS", 1).error
    assert "another config (DATA.EXACT_DECODE: True -> False)" in error
    assert pretrain("--resume", *exactly).code == 0


def test_a_run_of_an_earlier_version_goes_on_as_it_began(
    tmp_path: Path, pretrain: Any, tiny: Path
) -> None:
    plain = ("TRAIN.EPOCHS", 1, "ATTACK.FOLD_NORMS", False)
    assert pretrain(*plain).code == 0
    last = tmp_path / "run" / "last.pth"
    state = torch.load(last, weights_only=True)
    for section, keys in (
        ("ATTACK", "FOLD_NORMS OBJECTIVE WARMUP_EPOCHS"),
        ("EVAL", "OBJECTIVE RESTARTS"),
        ("MODEL", "FREEZE INIT SEPARATE_NORMS SYNC_NORMS"),
        ("OPTIM", "BETAS DECAY_NORMS LAYER_DECAY MILESTONES NAME"),
        ("TRAIN", "METHOD"),
    ):
        for key in keys.split():
            del state["config"][section][key]
    torch.save(state, last)
    error = pretrain("--resume", "TRAIN.EPOCHS", 1).error
    assert "(ATTACK.FOLD_NORMS: False -> True);" in error
    assert pretrain("--resume", *plain).code == 0
    # its figures, and so its best weights, were of another attack
    changed = Earlier(state, last).other_score(load_config(str(tiny)))
    assert changed == ["EVAL.OBJECTIVE: cross_entropy -> margin"]


def test_a_run_says_by_which_attack_it_is_validated(pretrain: Any) -> None:
    outcome = pretrain("TRAIN.EPOCHS", 1)
    attack = "PGD, norm l2, eps 0.25, 1 steps of 0.625, 1 restarts, objective margin"
    assert f"adversarial_top1 is under {attack}, on 15 of 15 images" in outcome.out


def test_resume_refuses_other_data(
    tmp_path: Path, image_tree: Path, pretrain: Any, tiny: Path
) -> None:
    other = Path(shutil.copytree(image_tree, tmp_path / "other"))
    assert pretrain("TRAIN.EPOCHS", 1).code == 0
    (other / "train" / "red" / "00.png").unlink()
    error = pretrain("--resume", "TRAIN.EPOCHS", 1, "DATA.ROOT", other).error
    assert "made with 36 training images, DATA.ROOT has 35" in error
    for split in ("train", "val"):
        (other / split / "red").rename(other / split / "crimson")
    assert "other classes" in pretrain("--resume", "TRAIN.EPOCHS", 1, "DATA.ROOT", other).error


def test_folder_of_another_kind_of_run_is_refused(tmp_path: Path, pretrain: Any) -> None:
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "record.json").write_text("{}")
    for resume in ([], ["--resume"]):
        assert "holds a run (record.json)" in pretrain(*resume).error
    assert os.listdir(tmp_path / "run") == ["record.json"]


def test_a_line_cut_off_by_a_kill_does_no_harm(tmp_path: Path, pretrain: Any, tiny: Path) -> None:
    assert pretrain(*LONG).code == 0
    folder = tmp_path / "run"
    whole = (folder / "metrics.jsonl").read_text()
    state = torch.load(folder / "last.pth", weights_only=True)
    state["step"] = 6
    for progress in state["progress"]:
        progress["step"] = 6  # as if it had been killed while writing the line of epoch 2
    torch.save(state, folder / "last.pth")
    (folder / "metrics.jsonl").write_text(whole.splitlines()[0] + '\n{"epoch": 2, "st')
    (folder / ".last.pth.abc.tmp").write_bytes(b"half")
    assert pretrain("--resume", *LONG).code == 0
    assert epochs_of(folder) == [1, 2, 3]
    assert not list(folder.glob(".*.tmp"))


def test_the_record_says_what_the_last_epoch_measured(tmp_path: Path, tiny: Path) -> None:
    options = ["TRAIN.ACCUMULATE", "3", "TRAIN.EPOCHS", "1"]
    options += ["EVAL.OBJECTIVE", "margin", "EVAL.RESTARTS", "2"]
    cfg = load_config(str(tiny), options)
    run_config(cfg, "tiny")
    (line,) = metrics_of(tmp_path / "run")
    assert line["step"] == 6 and line["epoch"] == 1
    record = json.loads((tmp_path / "run" / "record.json").read_text())
    assert record["metrics"]["clean_top1"] == line["clean_top1"]
    assert record["arch"] == "resnet10_narrow" and record["eps"] == 0.25
    assert record["config"]["ATTACK"]["FOLD_NORMS"] is True
    assert (record["evaluators"][0]["objective"], record["evaluators"][0]["restarts"]) == (
        "margin",
        2,
    )
    assert record["data"] == {"train": {"images": 36, "classes": 3}, "val": {"images": 15}}
