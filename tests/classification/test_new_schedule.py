"""A run that goes on by another schedule, or with another number of processes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch

from robust_det.training.state import Progress, TrainingState
from robust_det.training.world import World

STEPWISE = ("OPTIM.SCHEDULE", "step", "OPTIM.STEP_EPOCHS", "5")


def test_a_finished_run_is_lengthened_as_if_it_had_been_so_long(
    pretrain: Any, tmp_path: Path
) -> None:
    first = ("TRAIN.EPOCHS", 1, *STEPWISE)
    longer = ("TRAIN.EPOCHS", 2, *STEPWISE)
    assert pretrain(*first).code == 0
    run = tmp_path / "run"
    old = (run / "final.pth").read_bytes()
    refused = pretrain("--resume", *longer).error
    assert "TRAIN.EPOCHS: 1 -> 2" in refused and "--resume --new-schedule" in refused
    assert "belong to --resume" in pretrain("--new-schedule", *longer).error
    assert "changes nothing" in pretrain("--resume", "--new-schedule", *first).error
    assert "SEED: 0 -> 1" in pretrain("--resume", "--new-schedule", *longer, "SEED", 1).error
    assert "leave --new-world-size out" in pretrain("--resume", "--new-world-size", *first).error
    assert (run / "final.pth").read_bytes() == old

    assert pretrain("--resume", "--new-schedule", *longer).code == 0
    assert pretrain(*longer, "OUTPUT_DIR", tmp_path / "whole").code == 0
    ours, theirs = (
        torch.load(folder / "final.pth", weights_only=True) for folder in (run, tmp_path / "whole")
    )
    for part in ("model", "ema"):
        for name, value in theirs[part].items():
            assert torch.equal(ours[part][name], value), name
    record = json.loads((run / "record.json").read_text())
    change = {"step": 6, "key": "TRAIN.EPOCHS", "before": 1, "after": 2}
    assert record["changes"] == [change] == ours["changes"]
    assert json.loads((tmp_path / "whole/record.json").read_text())["changes"] == []
    # what it had ended with before is kept
    assert (run / "final_6.pth").read_bytes() == old
    assert json.loads((run / "record_6.json").read_text())["config"]["TRAIN"]["EPOCHS"] == 1
    # and is resumed like any other from here
    assert "finished already" in pretrain("--resume", *longer).out


def test_a_shorter_schedule_than_what_is_done_is_refused(pretrain: Any) -> None:
    assert pretrain("TRAIN.EPOCHS", 2, *STEPWISE).code == 0
    shorter = pretrain("--resume", "--new-schedule", "TRAIN.EPOCHS", 1, *STEPWISE).error
    assert "has done 12 steps, and TRAIN.EPOCHS 1 are 6" in shorter


class _Step:
    def load_state_dict(self, content: Any) -> None:
        pass


def test_other_processes_take_up_all_that_was_counted(monkeypatch: Any) -> None:
    sums = [{"step": 7, "loss": 1.5, "correct": 3, "images": 9, "corrupt": 1, "best": 4.0}] * 2
    content = {"rng": [{}, {}], "model": {}, "progress": sums}
    monkeypatch.setattr("robust_det.training.state.load_state", lambda *_: None)
    state = TrainingState(torch.nn.Identity(), _Step(), None, Progress(), any_world=True)  # type: ignore[arg-type]
    state.restore(content, Path("last.pth"), World())
    assert state.progress == Progress(7, 3.0, 6, 18, 2, 4.0)
