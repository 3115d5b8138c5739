"""What SIGTERM does to a run and to its workers."""

from __future__ import annotations

import os
import signal
import subprocess
import sys

import pytest

from robust_det.core.signals import StopRequest, Terminated, raise_on_sigterm


def terminate() -> None:
    os.kill(os.getpid(), signal.SIGTERM)


def test_a_run_is_asked_to_stop_however_often() -> None:
    before = signal.getsignal(signal.SIGTERM)
    with StopRequest() as stop:
        assert not stop.asked
        for _ in range(3):  # torchrun passes on what the whole group got
            terminate()
            assert stop.asked
    assert signal.getsignal(signal.SIGTERM) is before


def test_a_tool_is_ended_with_cleaning_up() -> None:
    before = signal.getsignal(signal.SIGTERM)
    restore = raise_on_sigterm()
    try:
        with pytest.raises(Terminated):
            terminate()
    finally:
        restore()
    assert signal.getsignal(signal.SIGTERM) is before


def test_a_worker_leaves_both_to_its_parent_and_dies_of_what_it_inherited() -> None:
    code = (
        "import os, signal\n"
        "from robust_det.core.signals import leave_to_parent, raise_on_sigterm\n"
        "raise_on_sigterm()\n"
        "worker = os.fork()\n"
        "if not worker:\n"
        "    os.kill(os.getpid(), signal.SIGTERM)\n"  # inherited: ends the worker alone
        "print(os.waitstatus_to_exitcode(os.waitpid(worker, 0)[1]))\n"
        "leave_to_parent(0)\n"
        "os.kill(os.getpid(), signal.SIGTERM)\n"
        "os.kill(os.getpid(), signal.SIGINT)\n"
        "print('alive')\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.stdout.split() == ["143", "alive"], done.stderr
