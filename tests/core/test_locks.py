"""A folder has one writer."""

from __future__ import annotations

import errno
import fcntl
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from robust_det.core.errors import UserError
from robust_det.core.locks import FolderLock, sole_writer

HOLD = (
    "import os, sys, time\n"
    "from robust_det.core.locks import FolderLock\n"
    "lock = FolderLock(sys.argv[1])\n"
    "if len(sys.argv) > 2 and not os.fork():\n"  # a worker of a loader, which lives on
    "    time.sleep(20)\n"
    "print('held', flush=True)\n"
    "time.sleep(20)\n"
)


def hold(folder: Path, *more: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", HOLD, str(folder), *more]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, start_new_session=True)
    assert process.stdout is not None and process.stdout.readline() == "held\n"
    return process


def test_the_second_is_told_who_is_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    process = hold(tmp_path / "run")
    try:
        with pytest.raises(UserError, match=rf"process {process.pid} on .* since 20\d\d-") as told:
            FolderLock(tmp_path / "run")
        assert "choose another output" in str(told.value)
        # srun -n 4 without torchrun
        monkeypatch.setenv("SLURM_STEP_NUM_TASKS", "4")
        monkeypatch.delenv("WORLD_SIZE", raising=False)
        with pytest.raises(UserError, match=r"one of 4 tasks.*torchrun.*--ntasks-per-node=1"):
            FolderLock(tmp_path / "run")
    finally:
        process.kill()
        process.communicate()
    with sole_writer(tmp_path / "run"):
        pass


def test_a_killed_holder_holds_nothing_though_its_workers_live(tmp_path: Path) -> None:
    process = hold(tmp_path, "fork")
    process.kill()
    process.wait()
    begun = time.monotonic()
    try:
        with sole_writer(tmp_path), pytest.raises(UserError, match="this process is at work"):
            FolderLock(tmp_path)
        assert time.monotonic() - begun < 5
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        assert process.stdout is not None
        process.stdout.close()


def test_what_was_made_for_the_lock_goes_with_it(tmp_path: Path) -> None:
    with sole_writer(tmp_path / "a/b"):
        assert json.loads((tmp_path / "a/b/.lock").read_text())["pid"] == os.getpid()
    assert not (tmp_path / "a").exists()
    with sole_writer(tmp_path / "a/b"):
        (tmp_path / "a/b/result").touch()
    assert os.listdir(tmp_path / "a/b") == ["result"]


def test_a_file_system_without_locks_is_warned_of(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def no_locks(*_: Any) -> None:
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(fcntl, "lockf", no_locks)
    with sole_writer(tmp_path):
        pass
    assert "has no locks" in caplog.text


def test_a_full_disk_is_told_at_the_start(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: Any) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "pwrite", full)
    with pytest.raises(UserError, match=r"cannot write in .*run: No space left.*free space"):
        FolderLock(tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_what_torchrun_starts_anew_is_known(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TORCHELASTIC_RESTART_COUNT", "0")
    with sole_writer(tmp_path) as lock:
        assert not lock.relaunched
        lock.keep()
    with sole_writer(tmp_path) as lock:  # of the same parent
        assert lock.relaunched
        lock.drop()
    with sole_writer(tmp_path) as lock:
        assert not lock.relaunched
