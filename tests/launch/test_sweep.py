"""A sweep of real runs by the real tool."""

import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from robust_det.core.errors import UserError
from robust_det.launch.notation import parse_sweep
from robust_det.launch.sweep import plan
from robust_det.records import read_record

ROOT = Path(__file__).parents[2]
LENGTH = ["SOLVER.MAX_ITER", "2", "SOLVER.STEPS", "[1]", "SOLVER.WARMUP_ITERS", "1"]
COMMON = [*LENGTH, "TEST.PICTURES", "0", "DATALOADER.NUM_WORKERS", "0"]


def start(*arguments):
    return subprocess.Popen(
        [sys.executable, "tools/sweep.py", *map(str, arguments)],
        cwd=ROOT,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def finish(process):
    out, err = process.communicate(timeout=240)
    return process.returncode, out, err


def test_a_sweep_does_what_is_missing(tmp_path, write_config):
    config, folder = write_config("tiny.yaml"), tmp_path / "sweep"
    runs = tmp_path / "runs.txt"
    runs.write_text(f"--config {config} SEED 0\n")
    arguments = ["--output", folder, "--jobs", "2", *COMMON]
    code, out, err = finish(start("--runs", runs, *arguments))
    assert code == 0, err
    first = folder / "tiny_seed0"
    written = (first / "record.json").stat().st_mtime_ns
    # it grows by another seed, and by a run that cannot be done
    runs.write_text(f"--config {config} SEED {{0,1}}\n--config {config} SOLVER.BASE_LR 1e9\n")
    code, out, err = finish(start("--runs", runs, *arguments))
    assert (first / "record.json").stat().st_mtime_ns == written
    assert read_record(folder / "tiny_seed1")["seed"] == 1
    assert "3 runs, 1 finished already, 2 at once" in out
    # mean and spread over the two seeds
    assert re.search(r"^tiny( +\S+ ± \S+){4} +\S+ +2$", out, re.MULTILINE), out
    assert "Mask AP" in (folder / "results.md").read_text()
    assert code == 2 and "error: 1 of 3 runs failed; the same command does them again" in err
    assert re.search(r"failed: tiny_base_lr1e9: training diverged at iteration \d", err)


def test_a_sweep_that_is_stopped_goes_on(tmp_path, write_config):
    config, folder = write_config("tiny.yaml"), tmp_path / "sweep"
    long = ["SOLVER.MAX_ITER", "4000", "SOLVER.STEPS", "[3999]", "TEST.PICTURES", "0"]
    arguments = ["--run", f"--config {config} SEED 0", "--output", folder, *long]
    process = start(*arguments)
    metrics = folder / "tiny_seed0/metrics.json"
    deadline = time.monotonic() + 120
    while not (metrics.exists() and metrics.stat().st_size) and time.monotonic() < deadline:
        time.sleep(0.05)
    code, _, err = finish(start(*arguments))
    assert code == 2 and f"another sweep is at work in {folder}" in err
    process.send_signal(signal.SIGTERM)
    code, _, err = finish(process)
    assert code == 143 and err.endswith("error: terminated\n")
    # the run saved where it was
    kept = (folder / "tiny_seed0/last_checkpoint").read_text()
    assert 19 <= int(kept.removeprefix("model_").removesuffix(".pth")) < 3999
    code, out, _ = finish(start(*arguments, "--dry-run"))
    assert code == 0 and out.startswith("to do ") and "--resume" in out
    assert "python -m robust_det train --config " in out  # there is no other way from a wheel


def test_mistakes_are_said_before_anything_runs(tmp_path, write_config):
    config = write_config("tiny.yaml")
    entries = parse_sweep([f"--config {config} SEED 0", f"--config {config} SEEED 1"], "runs.txt")
    with pytest.raises(UserError, match=r"run tiny_seeed1: .*SEEED"):
        plan(entries, tmp_path / "sweep")
    assert not (tmp_path / "sweep").exists()


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--output", "x"], "one of the arguments --runs --run is required"),
        (["--runs", "none.txt", "--output", "x"], "none.txt cannot be read"),
        (["--run", "--config none.yaml", "--output", "x"], "no config file 'none.yaml'"),
    ],
)
def test_bad_arguments(arguments, said):
    code, out, err = finish(start(*arguments))
    assert code == 2 and said in err and err.count("\n") == 1 and not out
