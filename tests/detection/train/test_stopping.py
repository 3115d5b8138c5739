"""A run is stopped, killed, finished already, and goes on or says why not."""

import contextlib
import json
import os
import shutil
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from robust_det.checkpoints.io import load_checkpoint
from robust_det.core.errors import UserError
from robust_det.detection.config import load_config
from robust_det.detection.finetuning.jobs import FINAL, finetune
from robust_det.detection.finetuning.trainer import RobustTrainer
from robust_det.records import read_record
from robust_det.records.detection import DetectionRecord
from tests.support import run_tool, start_tool


def wait_for_metrics(folder: Path) -> None:
    """Wait until a run has written its first metrics, after 20 iterations."""
    written, deadline = folder / "metrics.json", time.monotonic() + 120
    while not (written.exists() and written.stat().st_size):
        assert time.monotonic() < deadline, f"no {written}"
        time.sleep(0.05)


def stopped_while_loading(patch: pytest.MonkeyPatch) -> None:
    """Send a signal between a session's weights and its first step."""
    load = RobustTrainer.resume_or_load

    def interrupted(self: RobustTrainer, resume: bool = True) -> None:
        load(self, resume)
        os.kill(os.getpid(), signal.SIGTERM)

    patch.setattr(RobustTrainer, "resume_or_load", interrupted)


@pytest.mark.parametrize("sent, code", [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_stopped_and_resumed(
    finished: tuple[Path, Path, tuple[str, str]], tmp_path: Path, sent: Any, code: int
) -> None:
    """A run that is stopped saves, leaves no traceback, and continues from there."""
    config, folder = finished[0], tmp_path / "run"
    length = ["OUTPUT_DIR", str(folder), "SOLVER.MAX_ITER", "2000", "SOLVER.STEPS", "[1500]"]
    arguments = [*length, "SOLVER.CHECKPOINT_PERIOD", "1999", "TEST.PICTURES", "0"]
    process = start_tool("train_net", "--config", config, *arguments)
    wait_for_metrics(folder)
    process.send_signal(sent)
    out, errors = process.communicate(timeout=60)
    assert process.returncode == code
    said = next(line for line in out.splitlines() if "stopped by" in line)
    where = f"stopped by {'Ctrl-C' if code == 130 else 'SIGTERM'} at iteration "
    assert where in said and said.endswith("TEST.PICTURES 0 --resume"), said
    assert "Traceback" not in errors
    assert not (folder / "record.json").exists()
    last = (folder / "last_checkpoint").read_text()
    start = load_checkpoint(folder / last)["iteration"] + 1
    assert 20 <= start < 1999
    assert f"iteration {start} of 2000, saved in {folder / last}; to go on: python " in said
    if sent == signal.SIGTERM:
        return  # once is enough to resume
    # as long as a run that was asked for it from the start
    text = (folder / "config.yaml").read_text()
    text = text.replace("MAX_ITER: 2000", f"MAX_ITER: {start + 4}")
    (folder / "config.yaml").write_text(text)
    arguments[3] = str(start + 4)
    done = run_tool("train_net", "--config", config, "--resume", *arguments)
    assert done.code == 0, done.err
    assert f"iteration {start} of {start + 4}" in done.out
    assert load_checkpoint(folder / FINAL)["iteration"] == start + 3
    assert read_record(folder, DetectionRecord).schedule["SOLVER.MAX_ITER"] == start + 4


def test_killed_before_the_record_only_evaluates(
    finished: tuple[Path, Path, tuple[str, str]], tmp_path: Path
) -> None:
    config, folder, _ = finished
    shutil.copytree(folder, tmp_path / "run")
    (tmp_path / "run/record.json").unlink()
    cfg, card = load_config(str(config), ["OUTPUT_DIR", str(tmp_path / "run")])
    finetune(cfg, card, "finished", resume=True)
    again, before = (
        read_record(tmp_path / "run", DetectionRecord),
        read_record(folder, DetectionRecord),
    )
    assert again.metrics["bbox"] == pytest.approx(before.metrics["bbox"], nan_ok=True)
    assert again.wall_time_s >= 0.5 * before.wall_time_s  # that of the training counts


def test_a_finished_run(finished: tuple[Path, Path, tuple[str, str]]) -> None:
    config, folder, _ = finished
    before = {path: path.stat().st_mtime_ns for path in folder.rglob("*")}
    done = run_tool("train_net", "--config", config, "--resume")
    assert done.code == 0 and "is finished already; nothing to do" in done.out
    with pytest.raises(UserError, match="pass --resume to go on with it"):
        finetune(*load_config(str(config)), "finished")
    other = load_config(str(config), ["SOLVER.BASE_LR", "0.5", "SEED", "3"])
    with pytest.raises(UserError, match=r"SEED: 0 -> 3; SOLVER\.BASE_LR: 0\.02 -> 0\.5"):
        finetune(*other, "finished", resume=True)
    assert {path: path.stat().st_mtime_ns for path in folder.rglob("*")} == before


def test_malicious_resume_checkpoint(
    write_config: Callable[..., Path], malicious: tuple[Path, Path], tmp_path: Path
) -> None:
    path, marker = malicious
    cfg, card = load_config(str(write_config()))
    folder = Path(cfg.OUTPUT_DIR)
    folder.mkdir()
    (folder / "config.yaml").write_text(cfg.dump())
    (folder / "model_0000003.pth").write_bytes(path.read_bytes())
    (folder / "last_checkpoint").write_text("model_0000003.pth")
    with pytest.raises(UserError, match="nothing was executed"):
        finetune(cfg, card, "x", resume=True)
    assert not marker.exists()


def test_signals_to_every_process_of_a_step_lose_none(
    finished: tuple[Path, Path, tuple[str, str]], tmp_path: Path
) -> None:
    """What scancel does: several SIGTERMs, to the run and to its loader's workers."""
    folder = tmp_path / "run"
    length = ["SOLVER.MAX_ITER", "2000", "SOLVER.STEPS", "[1500]", "TEST.PICTURES", "0"]
    length += ["SOLVER.CHECKPOINT_PERIOD", "1999", "DATALOADER.NUM_WORKERS", "2"]
    process = start_tool("train_net", "--config", finished[0], "OUTPUT_DIR", folder, *length)
    wait_for_metrics(folder)
    pid = json.loads((folder / ".lock").read_text())["pid"]
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    assert len(children) >= 2
    for _ in range(4):
        for each in (*map(int, children), pid):
            with contextlib.suppress(ProcessLookupError):
                os.kill(each, signal.SIGTERM)
        time.sleep(0.1)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 143, errors
    assert "Traceback" not in errors and "error" not in errors
    last = load_checkpoint(folder / (folder / "last_checkpoint").read_text())
    assert last["iteration"] >= 19 and last["trainer"]["iteration"] == last["iteration"]
    assert not (folder / ".lock").exists()


def test_an_evaluation_that_a_signal_cut_off_is_done_by_the_resumed_run(
    finished: tuple[Path, Path, tuple[str, str]],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    arguments = ["--config", finished[0], "SOLVER.MAX_ITER", "6", "SOLVER.STEPS", "[5]"]
    arguments += ["SOLVER.CHECKPOINT_PERIOD", "100", "TEST.EVAL_PERIOD", "3", "TEST.PICTURES", "0"]
    arguments += ["TEST.KEEP_BEST", "bbox/AP"]
    whole, stopped = tmp_path / "whole", tmp_path / "stopped"
    assert run_tool("train_net", *arguments, "OUTPUT_DIR", whole).code == 0
    test = RobustTrainer.test

    def interrupted(cls: Any, cfg: Any, model: Any, evaluators: Any = None) -> Any:
        os.kill(os.getpid(), signal.SIGTERM)
        return test(cfg, model, evaluators)

    with monkeypatch.context() as patch:
        patch.setattr(RobustTrainer, "test", classmethod(interrupted))
        for _ in range(2):  # the second time it only evaluates
            done = run_tool("train_net", "--resume", *arguments, "OUTPUT_DIR", stopped)
            assert done.code == 143, done.err
            assert (stopped / "last_checkpoint").read_text() == "model_0000002.pth"
    assert run_tool("train_net", "--resume", *arguments, "OUTPUT_DIR", stopped).code == 0
    for name in (FINAL, "model_best.pth"):
        once, again = load_checkpoint(whole / name), load_checkpoint(stopped / name)
        assert once["iteration"] == again["iteration"]
        assert all(torch.equal(once["model"][key], again["model"][key]) for key in once["model"])


def test_a_signal_before_the_first_step_of_a_session_leaves_out_none(
    finished: tuple[Path, Path, tuple[str, str]],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    arguments = ["--config", finished[0], "SOLVER.MAX_ITER", "3", "SOLVER.STEPS", "[2]"]
    arguments += ["SOLVER.CHECKPOINT_PERIOD", "1", "TEST.PICTURES", "0", "OUTPUT_DIR", tmp_path]
    step = RobustTrainer.run_step

    def killed(self: RobustTrainer) -> None:
        if self.iter == 1:
            raise KeyError("as if it was killed")
        step(self)

    with monkeypatch.context() as patch:
        stopped_while_loading(patch)
        assert run_tool("train_net", *arguments).code == 143
        assert not list(tmp_path.glob("*.pth"))  # as nothing was learnt
    with monkeypatch.context() as patch:
        patch.setattr(RobustTrainer, "run_step", killed)
        assert run_tool("train_net", "--resume", *arguments).code == 1
    with monkeypatch.context() as patch:
        stopped_while_loading(patch)
        assert run_tool("train_net", "--resume", *arguments).code == 143
    assert (tmp_path / "last_checkpoint").read_text() == "model_0000000.pth"
    done = run_tool("train_net", "--resume", *arguments)
    assert done.code == 0 and "iteration 1 of 3" in done.out
