"""Processes that a job starts by itself: what they find, and that Detectron2 is prepared there."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from robust_det.core.errors import UserError
from robust_det.records import read_record
from robust_det.training.spawning import spawn

NAMES = "RANK WORLD_SIZE LOCAL_RANK LOCAL_WORLD_SIZE MASTER_ADDR MASTER_PORT"


def run(code: str, folder: Path) -> None:
    """Run a program that has no file, as ``python -m`` has none that its processes could run."""
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=folder, env=environment, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr


def test_each_process_finds_what_torchrun_would_set(tmp_path: Path) -> None:
    (tmp_path / "job.py").write_text(
        "import os\n"
        "def work(suffix):\n"
        f"    values = [os.environ[name] for name in '{NAMES}'.split()]\n"
        "    open(values[0] + suffix, 'w').write(' '.join(values))\n"
    )
    run(
        "import job\nfrom robust_det.training.spawning import spawn\n"
        "spawn(job.work, ('.txt',), 2, machines=3, machine=1, address='tcp://host.example:1234')",
        tmp_path,
    )
    assert {path.name: path.read_text() for path in tmp_path.glob("*.txt")} == {
        "2.txt": "2 6 0 2 host.example 1234",
        "3.txt": "3 6 1 2 host.example 1234",
    }


@pytest.mark.parametrize("address", ["host:1", "tcp://host", "file:///tmp/x", "tcp://host:many"])
def test_an_address_of_another_form_is_refused(address: str) -> None:
    with pytest.raises(UserError, match=r"is not of the form tcp://HOST:PORT"):
        spawn(print, (), 1, address=address)


def test_a_machine_that_is_not_among_them_is_refused() -> None:
    with pytest.raises(UserError, match="--machine-rank is 2; it is from 0 to 1"):
        spawn(print, (), 1, machines=2, machine=2)


@pytest.mark.slow
def test_a_detector_is_trained_by_two(tmp_path: Path, write_config: Any) -> None:
    # --num-gpus wants GPUs; these are its two processes on the CPU
    words = ["--config", str(write_config()), "TEST.PICTURES", "0", "MODEL.DEVICE", "cpu"]
    run(
        "from robust_det.commands.jobs.train import work_together\n"
        "from robust_det.commands.index import COMMANDS\n"
        "from robust_det.training.spawning import spawn\n"
        f"spawn(work_together, (COMMANDS['train'].parser().parse({words}),), 2)",
        tmp_path,
    )
    folder = tmp_path / "run"
    assert read_record(folder).kind() == "detection"
    assert (folder / "log.txt.rank1").exists()  # of the second process of one group
