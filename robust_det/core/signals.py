"""What SIGTERM, SIGUSR1 and Ctrl-C do: end a tool with cleaning up, or ask a run to stop after its
step.

SIGUSR1 is what SLURM's ``--signal`` is often set to. The exit code of whoever ends by a signal is
128 and its number: 143, 138 and 130.
"""

from __future__ import annotations

import contextlib
import ctypes
import math
import os
import signal
import sys
import threading
import time
import weakref
from collections.abc import Callable, Iterator
from types import TracebackType
from typing import Any, NoReturn

__all__ = [
    "INTERRUPTED",
    "TERMINATED",
    "StopRequest",
    "Terminated",
    "WaitCutShort",
    "end_with_parent",
    "held_back",
    "ignore_from_now",
    "leave_to_parent",
    "raise_on_signals",
    "waiting",
]

# the exit codes of a process that SIGTERM, or Ctrl-C, ended
TERMINATED, INTERRUPTED = 128 + signal.SIGTERM, 128 + signal.SIGINT
_ENDING = (signal.SIGTERM, signal.SIGUSR1)
_ALL = (*_ENDING, signal.SIGINT)
_ONE = 1.0  # seconds in which one Ctrl-C may arrive twice: from the terminal, and from torchrun
# seconds in which further SIGTERMs change nothing to a process that cleans up because of one
_UNWINDING = 30.0
# seconds: how long a run that was asked to stop waits on, and after which a wait is told
_PATIENCE, _SILENCE = 5.0, 60.0
_PR_SET_PDEATHSIG = 1


class Terminated(BaseException):
    """SIGTERM or SIGUSR1: whoever is in the middle of something cleans up on the way out.

    Args:
        number: of the signal.
    """

    def __init__(self, number: int = signal.SIGTERM) -> None:
        super().__init__(number)
        self.code = 128 + number


class _Interrupted(KeyboardInterrupt):
    """What Ctrl-C raises here: unlike the built-in one it can be watched."""


class WaitCutShort(BaseException):
    """What was waited for did not come, and the run was asked to stop; see :func:`waiting`."""


def raise_on_signals() -> Callable[[], object]:
    """Let SIGTERM and SIGUSR1 raise :class:`Terminated`, and Ctrl-C :class:`KeyboardInterrupt`.

    Schedulers and ``torchrun`` send a signal several times: what it interrupts cleans up, and the
    same once more would interrupt that, which leaves workers behind that nobody ends. One whose
    exception was lost, as in a finaliser, cleans nothing up: the next one raises again.

    Returns:
        What restores the handlers.
    """
    owner, since = os.getpid(), -math.inf
    raised: weakref.ref[BaseException] | None = None

    def end(number: int, _: object) -> None:
        nonlocal since, raised
        if os.getpid() != owner:  # a worker, which inherited this
            os._exit(128 + number)
        now = time.monotonic()
        patience = _ONE if number == signal.SIGINT else _UNWINDING
        if raised is not None and raised() is not None and now < since + patience:
            return
        error: BaseException = _Interrupted() if number == signal.SIGINT else Terminated(number)
        since, raised = now, weakref.ref(error)
        try:
            raise error
        finally:
            del error  # with it this frame would keep the exception, which has the frame

    # where Ctrl-C is ignored, as in a job that a script has put into the background, it stays so
    usual = signal.getsignal(signal.SIGINT) is signal.default_int_handler
    restore = [_handle(end, number) for number in (_ALL if usual else _ENDING)]
    return lambda: [each() for each in restore]


def ignore_from_now() -> None:
    """Ignore further signals in a process that one of them ends: its exit code shall say so."""
    for number in _ALL:
        _handle(signal.SIG_IGN, number)


def leave_to_parent(*_: object) -> None:
    """Ignore SIGINT, SIGTERM and SIGUSR1 in a worker process, which ends with its parent.

    Ctrl-C and many schedulers signal the whole process group, and the parent has yet to save.
    """
    for number in _ALL:
        signal.signal(number, signal.SIG_IGN)
    end_with_parent(signal.SIGKILL)


def end_with_parent(number: int = signal.SIGTERM) -> None:
    """Let Linux send a signal to this process if its parent is killed, so that it goes on unseen
    no longer."""
    prctl = getattr(ctypes.CDLL(None), "prctl", None)
    if prctl is not None:
        prctl(_PR_SET_PDEATHSIG, number)


@contextlib.contextmanager
def held_back() -> Iterator[None]:
    """Hold signals back for a moment, and from processes that are started in it for ever.

    Workers get them from the first on, before they could ignore them by :func:`leave_to_parent`.
    What comes meanwhile comes at the end: other threads take signals that this one blocks, and an
    exception in what Python calls around a fork is lost.
    """
    came = set[int]()
    restore = [_handle(lambda number, _: came.add(number), each) for each in _ALL]
    before = signal.pthread_sigmask(signal.SIG_BLOCK, _ALL)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
        for each in restore:
            each()
        for number in sorted(came):
            signal.raise_signal(number)


@contextlib.contextmanager
def waiting(remark: Callable[[], str]) -> Iterator[None]:
    """Wait for what may never come, such as a read of a network disk that does not answer.

    Args:
        remark: says what is waited for; is written to standard error once a minute.

    Raises:
        WaitCutShort: a :class:`StopRequest` is entered and was asked, and for seconds nothing came.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    since, within = time.monotonic(), True

    def look(*_: object) -> None:
        request = StopRequest.entered
        if not within:
            return
        if request is not None and request.asked:
            raise WaitCutShort
        if (passed := time.monotonic() - since) >= _SILENCE:
            os.write(2, f"\nwaiting for {passed:.0f} s: {remark()}\n".encode())

    restore = _handle(look, signal.SIGALRM)
    # a signal ends no wait by itself, so that one comes every few seconds
    signal.setitimer(signal.ITIMER_REAL, _PATIENCE, _PATIENCE)
    try:
        yield
    finally:
        within = False
        signal.setitimer(signal.ITIMER_REAL, 0)
        restore()


class StopRequest:
    """Whether SIGTERM, SIGUSR1 or Ctrl-C came while this was entered; a run looks between steps.

    Further ones of SIGTERM change nothing: where a scheduler signals the whole group, ``torchrun``
    passes its own signal on as well. A second Ctrl-C interrupts at once.

    Attributes:
        asked: whether one came.
        entered: the one that is entered now; signals are a process's.
    """

    entered: StopRequest | None = None

    def __init__(self) -> None:
        self.asked = False
        self._by = 0
        self._since = 0.0
        self._outer: StopRequest | None = None
        self._restore: Callable[[], object] = lambda: None

    @property
    def source(self) -> str:
        """What came, as a user calls it."""
        return "Ctrl-C" if self._by == signal.SIGINT else signal.Signals(self._by or 15).name

    def leave_if_interrupted(self) -> None:
        """Raise :class:`KeyboardInterrupt` if it was Ctrl-C."""
        if self._by == signal.SIGINT:
            raise KeyboardInterrupt

    def leave(self) -> NoReturn:
        """End the process as what came would: exit code 130 of Ctrl-C, 143 of SIGTERM, 138 of
        SIGUSR1."""
        self.leave_if_interrupted()
        sys.exit(self.code)

    @property
    def code(self) -> int:
        """The exit code of a process that ends by what came; of SIGTERM, where only another
        process got it."""
        return 128 + self._by if self._by else TERMINATED

    def __enter__(self) -> StopRequest:
        self.asked, self._by = False, 0
        restore = [_handle(self._ask, number) for number in _ALL]
        self._outer, StopRequest.entered = StopRequest.entered, self
        self._restore = lambda: [each() for each in restore]
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        StopRequest.entered = self._outer
        # a process that is leaving lets further ones change nothing to its end
        if not isinstance(error, SystemExit):
            self._restore()

    def _ask(self, number: int, frame: object) -> None:
        now = time.monotonic()
        if number == signal.SIGINT and self._by == signal.SIGINT and now > self._since + _ONE:
            raise KeyboardInterrupt
        if not self.asked:
            self.asked, self._by, self._since = True, number, now
            if number == signal.SIGINT and os.environ.get("RANK", "0") == "0":
                # not print: its buffer may be in use
                os.write(2, b"\nstopping after this step; Ctrl-C once more stops at once\n")


def _handle(handler: Any, number: int = signal.SIGTERM) -> Callable[[], object]:
    if threading.current_thread() is not threading.main_thread():  # which alone has handlers
        return lambda: None
    before = signal.signal(number, handler)
    return lambda: signal.signal(number, before)
