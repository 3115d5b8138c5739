"""A run is stopped, killed, finished already, and goes on or says why not."""

import shutil
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from robust_det.checkpoints.io import load_checkpoint
from robust_det.core.errors import UserError
from robust_det.detection.config import load_config
from robust_det.detection.finetuning.jobs import FINAL, finetune
from robust_det.records import read_record
from robust_det.records.detection import DetectionRecord
from tests.support import run_tool, start_tool


@pytest.mark.parametrize("sent, code", [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_stopped_and_resumed(
    finished: tuple[Path, Path, tuple[str, str]], tmp_path: Path, sent: Any, code: int
) -> None:
    """A run that is stopped saves, leaves no traceback, and continues from there."""
    config, folder = finished[0], tmp_path / "run"
    length = ["OUTPUT_DIR", str(folder), "SOLVER.MAX_ITER", "2000", "SOLVER.STEPS", "[1500]"]
    arguments = [*length, "SOLVER.CHECKPOINT_PERIOD", "1999", "TEST.PICTURES", "0"]
    first = folder / "metrics.json"  # is written after 20 iterations
    process = start_tool("train_net", "--config", config, *arguments)
    deadline = time.monotonic() + 120
    written = False
    while not written and time.monotonic() < deadline:
        time.sleep(0.05)
        written = first.exists() and first.stat().st_size > 0
    process.send_signal(sent)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == code
    assert "Traceback" not in errors
    assert not (folder / "record.json").exists()
    last = (folder / "last_checkpoint").read_text()
    start = load_checkpoint(folder / last)["iteration"] + 1
    assert 20 <= start < 1999
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
    with pytest.raises(UserError, match="pass --resume to continue it"):
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
