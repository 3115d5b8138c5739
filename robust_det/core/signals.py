"""What SIGTERM and Ctrl-C do: end a tool with cleaning up, or ask a run to stop after its step."""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
from collections.abc import Callable
from types import TracebackType
from typing import Any, NoReturn

__all__ = ["TERMINATED", "StopRequest", "Terminated", "leave_to_parent", "raise_on_sigterm"]

# the exit code of a process that SIGTERM ended
TERMINATED = 128 + signal.SIGTERM
_ONE = 1.0  # seconds in which one Ctrl-C may arrive twice: from the terminal, and from torchrun


class Terminated(BaseException):
    """SIGTERM: whoever is in the middle of something cleans up on the way out."""


def raise_on_sigterm() -> Callable[[], object]:
    """Let SIGTERM raise :class:`Terminated`; return what restores the handler before."""
    owner = os.getpid()

    def terminate(*_: object) -> NoReturn:
        if os.getpid() != owner:  # a worker, which inherited this
            os._exit(TERMINATED)
        raise Terminated

    return _handle(terminate)


def leave_to_parent(*_: object) -> None:
    """Ignore SIGINT and SIGTERM in a worker process: its parent ends it.

    Ctrl-C and many schedulers signal the whole process group, and the parent has yet to save.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)


class StopRequest:
    """Whether SIGTERM or Ctrl-C came while this was entered; a run looks between two steps.

    Further ones of SIGTERM change nothing: where a scheduler signals the whole group, ``torchrun``
    passes its own signal on as well. A second Ctrl-C interrupts at once.

    Attributes:
        asked: whether one came.
    """

    def __init__(self) -> None:
        self.asked = False
        self._by = 0
        self._since = 0.0
        self._restore: Callable[[], object] = lambda: None

    @property
    def source(self) -> str:
        """What came, as a user calls it."""
        return "Ctrl-C" if self._by == signal.SIGINT else "SIGTERM"

    def leave_if_interrupted(self) -> None:
        """Raise :class:`KeyboardInterrupt` if it was Ctrl-C."""
        if self._by == signal.SIGINT:
            raise KeyboardInterrupt

    def leave(self) -> NoReturn:
        """End the process as what came would: exit code 130 of Ctrl-C, 143 of SIGTERM."""
        self.leave_if_interrupted()
        sys.exit(TERMINATED)

    def __enter__(self) -> StopRequest:
        restore = _handle(self._ask), _handle(self._ask, signal.SIGINT)
        self._restore = lambda: [each() for each in restore]
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
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
