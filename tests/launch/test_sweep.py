"""A sweep of real runs by the real tool."""

import re
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from robust_det.core.errors import UserError
from robust_det.detection.finetuning.jobs import planned_length
from robust_det.launch.notation import parse_sweep
from robust_det.launch.sweep import plan
from robust_det.records import read_record
from tests.support import outcome_of, refused, run_tool, start_tool

LENGTH = ["SOLVER.MAX_ITER", "2", "SOLVER.STEPS", "[1]", "SOLVER.WARMUP_ITERS", "1"]
COMMON = [*LENGTH, "TEST.PICTURES", "0", "DATALOADER.NUM_WORKERS", "0"]


def test_a_sweep_does_what_is_missing(tmp_path: Path, write_config: Callable[..., Path]) -> None:
    config, folder = write_config("tiny.yaml"), tmp_path / "sweep"
    runs = tmp_path / "runs.txt"
    runs.write_text(f"--config {config} SEED 0\n")
    arguments = ["--output", folder, "--jobs", "2", *COMMON]
    code, out, err = run_tool("sweep", "--runs", runs, *arguments)
    assert code == 0, err
    first = folder / "tiny_seed0"
    written = (first / "record.json").stat().st_mtime_ns
    # it grows by another seed, and by a run that cannot be done
    runs.write_text(f"--config {config} SEED {{0,1}}\n--config {config} SOLVER.BASE_LR 1e9\n")
    code, out, err = run_tool("sweep", "--runs", runs, *arguments)
    assert (first / "record.json").stat().st_mtime_ns == written
    assert read_record(folder / "tiny_seed1").seed == 1
    assert "3 runs, 1 finished already, 2 at once" in out
    # mean and spread over the two seeds
    assert re.search(r"^tiny( +\S+ \(\S+ to \S+\)){4} +\S+ +2$", out, re.MULTILINE), out
    assert "Mask AP" in (folder / "results.md").read_text()
    assert code == 2 and "error: 1 of 3 runs failed; the same command does them again" in err
    assert re.search(r"failed: tiny_base_lr1e9: training diverged at iteration \d", err)


def test_a_sweep_that_is_stopped_goes_on(tmp_path: Path, write_config: Callable[..., Path]) -> None:
    config, folder = write_config("tiny.yaml"), tmp_path / "sweep"
    long = ["SOLVER.MAX_ITER", "4000", "SOLVER.STEPS", "[3999]", "TEST.PICTURES", "0"]
    arguments = ["--run", f"--config {config} SEED 0", "--output", folder, *long]
    process = start_tool("sweep", *arguments)
    metrics = folder / "tiny_seed0/metrics.json"
    deadline = time.monotonic() + 120
    while not (metrics.exists() and metrics.stat().st_size) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert f"is at work in {folder}" in run_tool("sweep", *arguments).error
    process.send_signal(signal.SIGTERM)
    code, _, err = outcome_of(process)
    assert code == 143 and err.endswith("error: terminated\n")
    # the run saved where it was
    kept = (folder / "tiny_seed0/last_checkpoint").read_text()
    assert 19 <= int(kept.removeprefix("model_").removesuffix(".pth")) < 3999
    code, out, _ = run_tool("sweep", *arguments, "--dry-run")
    assert code == 0 and out.startswith("to do ") and "--resume" in out
    assert "python -m robust_det train --config " in out  # there is no other way from a wheel


def test_mistakes_are_said_before_anything_runs(
    tmp_path: Path, write_config: Callable[..., Path]
) -> None:
    config = write_config("tiny.yaml")
    entries = parse_sweep([f"--config {config} SEED 0", f"--config {config} SEEED 1"], "runs.txt")
    with pytest.raises(UserError, match=r"run tiny_seeed1: .*SEEED"):
        plan(entries, tmp_path / "sweep", {"train": planned_length})
    assert not (tmp_path / "sweep").exists()


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--output", "x"], "one of the arguments --runs --run is required"),
        (["--runs", "none.txt", "--output", "x"], "none.txt cannot be read"),
        (["--run", "--config none.yaml", "--output", "x"], "no config file 'none.yaml'"),
    ],
)
def test_bad_arguments(arguments: Any, said: str) -> None:
    assert said in refused("sweep", *arguments)
