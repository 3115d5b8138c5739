"""How fine-tuning and evaluation stop: all processes together, with what was done saved."""

from __future__ import annotations

from detectron2.utils import comm

from robust_det.core.signals import StopRequest

__all__ = ["Stopped", "exit_if_asked", "leave_if_asked", "stop_request"]

# entered by whoever starts a job
stop_request = StopRequest()


class Stopped(BaseException):
    """A run was asked to stop, between two steps or two images of an evaluation."""


def leave_if_asked(here: bool = False) -> None:
    """Ask all processes whether one of them was asked to stop; a collective call.

    Args:
        here: this one has to stop in any case.

    Raises:
        Stopped: it was, or one of the others; in all of them.
    """
    # on the CPU: nothing waits for a GPU
    if any(comm.all_gather(here or stop_request.asked)):
        raise Stopped


def exit_if_asked() -> None:
    """Raise :class:`Stopped` if this process was asked to stop.

    Between two images: cut off in the middle of a transfer from the main process, the data
    loader's workers would print tracebacks.
    """
    if stop_request.asked:
        raise Stopped
