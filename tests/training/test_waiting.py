"""Waits for batches end, and are refused where they would not."""

from __future__ import annotations

import os
import signal
import subprocess
import threading
import time
from collections import namedtuple
from pathlib import Path

import pytest
from torch.utils.data import DataLoader, Dataset

from robust_det.core import signals
from robust_det.core.errors import UserError
from robust_det.core.signals import StopRequest, WaitCutShort, leave_to_parent
from robust_det.training import waiting
from robust_det.training.waiting import loaded, require_shared_memory
from tests.support import outcome_of, python

Disk = namedtuple("Disk", "f_bavail f_frsize")


class Images(Dataset[int]):
    """The third never comes."""

    def __init__(self, pipe: Path) -> None:
        self.pipe = pipe

    def __len__(self) -> int:
        return 8

    def __getitem__(self, index: int) -> int:
        if index == 2:
            self.pipe.read_bytes()
        return index


@pytest.mark.parametrize("workers", [0, 1])
def test_a_read_that_never_ends_is_given_up_when_asked_to_stop(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, workers: int
) -> None:
    monkeypatch.setattr(signals, "_PATIENCE", 0.2)
    os.mkfifo(tmp_path / "pipe")
    loader = DataLoader(
        Images(tmp_path / "pipe"), num_workers=workers, worker_init_fn=leave_to_parent
    )
    batches = loaded(loader)
    begun = time.monotonic()
    with StopRequest() as stop:
        assert [int(next(batches)), int(next(batches))] == [0, 1]
        ask = threading.Timer(0.3, os.kill, (os.getpid(), signal.SIGTERM))
        ask.start()
        with pytest.raises(WaitCutShort):
            next(batches)
        assert stop.asked and stop.code == 143
    assert time.monotonic() - begun < 10
    ask.join()


def test_a_process_whose_loader_is_left_open_ends() -> None:
    """As one that leaves by a signal while something still holds its batches."""
    text = """
from torch.utils.data import DataLoader
from robust_det.core.signals import leave_to_parent
from robust_det.training.waiting import loaded
batches = loaded(DataLoader(range(8), num_workers=2, worker_init_fn=leave_to_parent))
print(int(next(batches)))
raise SystemExit(3)
"""
    process = subprocess.Popen(python("-c", text), stdout=subprocess.PIPE, text=True)
    done = outcome_of(process, 30)
    assert (done.code, done.out) == (3, "0\n")


def test_a_long_wait_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(signals, "_PATIENCE", 0.05)
    monkeypatch.setattr(signals, "_SILENCE", 0.1)
    with signals.waiting(lambda: "for nothing"):
        time.sleep(0.3)
    assert "waiting for 0 s: for nothing" in capfd.readouterr().err
    assert signal.getitimer(signal.ITIMER_REAL)[0] == 0


def test_workers_without_shared_memory_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(waiting.os, "statvfs", lambda _: Disk(64 << 10, 1 << 10))
    batch = 512 * 3 * 224**2
    with pytest.raises(UserError, match=r"2 workers need 308 MB of /dev/shm, where 67 MB") as told:
        require_shared_memory([(batch, 100)], 2, "DATA.WORKERS")
    assert "--shm-size" in str(told.value) and "DATA.WORKERS" in str(told.value)
    require_shared_memory([(batch, 100)], 0, "DATA.WORKERS")
    require_shared_memory([(batch / 5, 100)], 2, "DATA.WORKERS")
    require_shared_memory([(batch / 2, 1)], 2, "DATA.WORKERS")  # there are no more
