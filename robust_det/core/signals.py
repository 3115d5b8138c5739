"""What SIGTERM does: it ends a tool with cleaning up, or asks a run to stop after its step."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable
from types import TracebackType
from typing import Any, NoReturn

__all__ = ["TERMINATED", "StopRequest", "Terminated", "leave_to_parent", "raise_on_sigterm"]

# the exit code of a process that SIGTERM ended
TERMINATED = 128 + signal.SIGTERM


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
    """Whether SIGTERM came while this was entered; a run looks between two steps.

    Further ones change nothing: where a scheduler signals the whole group, ``torchrun`` passes its
    own signal on as well. What ends a run at once are SIGINT and SIGKILL.

    Attributes:
        asked: whether it came.
    """

    def __init__(self) -> None:
        self.asked = False
        self._restore: Callable[[], object] = lambda: None

    def __enter__(self) -> StopRequest:
        self._restore = _handle(self._ask)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._restore()

    def _ask(self, *_: object) -> None:
        self.asked = True


def _handle(handler: Any) -> Callable[[], object]:
    if threading.current_thread() is not threading.main_thread():  # which alone has handlers
        return lambda: None
    before = signal.signal(signal.SIGTERM, handler)
    return lambda: signal.signal(signal.SIGTERM, before)
