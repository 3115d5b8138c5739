"""What SIGTERM and Ctrl-C do to a run and to its workers."""

from __future__ import annotations

import os
import signal

import pytest

from robust_det.core import signals
from robust_det.core.signals import StopRequest, Terminated, held_back, raise_on_signals
from tests.support import run_python


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


@pytest.mark.parametrize("number, source", [(signal.SIGTERM, "SIGTERM"), (signal.SIGINT, "Ctrl-C")])
def test_a_run_ends_as_what_stopped_it_would(
    number: signal.Signals, source: str, capfd: pytest.CaptureFixture[str]
) -> None:
    with StopRequest() as stop:
        os.kill(os.getpid(), number)
        os.kill(os.getpid(), number)  # the same once more, from torchrun
        assert stop.asked and stop.source == source
        said = capfd.readouterr().err
        if number == signal.SIGTERM:
            assert said == ""
            with pytest.raises(SystemExit, match="143"):
                stop.leave()
        else:
            assert said == "\nstopping after this step; Ctrl-C once more stops at once\n"
            with pytest.raises(KeyboardInterrupt):
                stop.leave()


def test_a_second_ctrl_c_stops_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    before = signal.getsignal(signal.SIGINT)
    with StopRequest() as stop:
        os.kill(os.getpid(), signal.SIGINT)
        clock = signals.time.monotonic() + 2
        monkeypatch.setattr(signals.time, "monotonic", lambda: clock)
        with pytest.raises(KeyboardInterrupt):
            os.kill(os.getpid(), signal.SIGINT)
        assert stop.asked
    assert signal.getsignal(signal.SIGINT) is before


def test_a_tool_is_ended_with_cleaning_up() -> None:
    before = signal.getsignal(signal.SIGTERM)
    restore = raise_on_signals()
    try:
        with pytest.raises(Terminated):
            terminate()
    finally:
        restore()
    assert signal.getsignal(signal.SIGTERM) is before


def test_a_signal_that_comes_again_leaves_the_cleaning_up_alone(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    before = signal.getsignal(signal.SIGINT)
    restore = raise_on_signals()
    try:
        with pytest.raises(Terminated) as first:
            terminate()
        for _ in range(3):
            terminate()
            os.kill(os.getpid(), signal.SIGINT)
        clock = signals.time.monotonic() + 2
        monkeypatch.setattr(signals.time, "monotonic", lambda: clock)
        terminate()
        with pytest.raises(KeyboardInterrupt):  # somebody who does not wait
            os.kill(os.getpid(), signal.SIGINT)
        clock += 31
        assert first.value.code == 143
        with pytest.raises(Terminated):
            terminate()
    finally:
        restore()
    assert signal.getsignal(signal.SIGINT) is before


def test_a_signal_that_was_lost_does_not_count(monkeypatch: pytest.MonkeyPatch) -> None:
    class Finalised:
        def __del__(self) -> None:
            terminate()

    monkeypatch.setattr("sys.unraisablehook", lambda lost: None)
    restore = raise_on_signals()
    try:
        Finalised()
        with pytest.raises(Terminated):
            terminate()
    finally:
        restore()


def test_what_comes_while_signals_are_held_back_comes_afterwards() -> None:
    restore = raise_on_signals()
    done = []
    try:
        with pytest.raises(Terminated), held_back():
            # as another thread does, which takes it for the process
            signal.pthread_sigmask(signal.SIG_UNBLOCK, [signal.SIGTERM])
            terminate()
            done.append("started")
        assert done == ["started"]
    finally:
        restore()


def test_a_worker_leaves_both_to_its_parent_and_dies_of_what_it_inherited() -> None:
    code = (
        "import os, signal\n"
        "from robust_det.core.signals import leave_to_parent, raise_on_signals\n"
        "raise_on_signals()\n"
        "worker = os.fork()\n"
        "if not worker:\n"
        "    os.kill(os.getpid(), signal.SIGTERM)\n"  # inherited: ends the worker alone
        "print(os.waitstatus_to_exitcode(os.waitpid(worker, 0)[1]))\n"
        "leave_to_parent(0)\n"
        "os.kill(os.getpid(), signal.SIGTERM)\n"
        "os.kill(os.getpid(), signal.SIGINT)\n"
        "print('alive')\n"
    )
    done = run_python(code)
    assert done.out.split() == ["143", "alive"], done.err
