"""Stopping between two steps when SIGTERM came."""

from __future__ import annotations

import signal
import sys
from typing import Any

from detectron2.engine import HookBase
from detectron2.utils import comm

__all__ = ["StopHook", "exit_if_asked", "stop_between_steps_on_sigterm"]


class StopHook(HookBase):
    """Saves and ends the process between two steps when it was asked to; the last of the hooks."""

    def after_step(self) -> None:
        if _asked_to_stop and comm.is_main_process():
            done = self.trainer.iter
            self.trainer.checkpointer.save(f"model_{done:07d}", iteration=done)
        exit_if_asked()


_asked_to_stop = False


def stop_between_steps_on_sigterm() -> None:
    """Let the first SIGTERM end the process after the step it is in, a second one at once.

    Cut off in the middle of a transfer from the main process, the data loader's workers would
    print tracebacks.
    """

    def handle(number: int, frame: Any) -> None:
        global _asked_to_stop
        _asked_to_stop = True
        signal.signal(signal.SIGTERM, signal.SIG_DFL)

    signal.signal(signal.SIGTERM, handle)


def exit_if_asked() -> None:
    """Exit with code 143, as a process that SIGTERM ended, if there was one."""
    if _asked_to_stop:
        sys.exit(128 + signal.SIGTERM)
