"""Batches of a data loader, waited for in a way that ends, and the memory that its workers need."""

from __future__ import annotations

import logging
import multiprocessing
import os
import signal
from collections.abc import Generator, Sequence
from multiprocessing.util import Finalize
from pathlib import Path
from typing import Any

from robust_det.core.errors import UserError
from robust_det.core.signals import held_back, waiting

__all__ = ["loaded", "require_shared_memory"]

logger = logging.getLogger(__name__)

_SHARED = Path("/dev/shm")
_AHEAD = 2  # batches that torch's loader lets a worker prepare
_MEGA = 1e6


def loaded(loader: Any) -> Generator[Any, None, None]:
    """Give the batches of a loader.

    Signals reach none of its workers, and none outlives this generator, not even one whose read
    does not end; nor this process, whose end closes no generator that something still holds.

    Args:
        loader: of torch.

    Raises:
        WaitCutShort: see :func:`~robust_det.core.signals.waiting`.
    """
    others = set(multiprocessing.active_children())
    with held_back():
        batches = iter(loader)
    workers = [child for child in multiprocessing.active_children() if child not in others]
    # multiprocessing's own would ask them by SIGTERM, which they ignore, and wait for ever
    at_exit = Finalize(None, _kill, (workers,), exitpriority=1)
    stuck = True
    try:
        while True:
            with waiting(_remark):
                try:
                    batch = next(batches)
                except StopIteration:
                    stuck = False
                    return
            stuck = False
            yield batch
            stuck = True
    except GeneratorExit:
        stuck = False
        raise
    finally:
        at_exit.cancel()
        if stuck:
            _kill(workers)
        if end := getattr(batches, "_shutdown_workers", None):
            end()  # now, not when the last traceback that knows of it is gone


def _kill(workers: Sequence[Any]) -> None:
    """Kill workers; torch's loader, which raises where one dies, is not told."""
    before = signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    try:
        for worker in workers:
            worker.kill()
        for worker in workers:
            worker.join(1)
    finally:
        signal.signal(signal.SIGCHLD, before)


def _remark() -> str:
    free = _free()
    room = "" if free is None else f", or {_SHARED} is full ({free / _MEGA:.0f} MB are free)"
    return f"no batch has come; the disk of the data does not answer{room}"


def _free() -> int | None:
    try:
        found = os.statvfs(_SHARED)
    except OSError:
        return None
    return found.f_bavail * found.f_frsize


def require_shared_memory(
    batches: Sequence[tuple[float, float]], workers: int, key: str, sure: bool = True
) -> None:
    """Refuse workers whose batches have no room in ``/dev/shm``, where they would wait for ever.

    Args:
        batches: of each loader that is alive at once: the bytes of a batch, and how many there are.
        workers: of each of the loaders.
        key: that sets their number.
        sure: whether the bytes are exact; else it is a warning.

    Raises:
        UserError: says how much is needed and what is there.
    """
    free = _free()
    if free is None or workers < 1:
        return
    processes = int(os.environ.get("LOCAL_WORLD_SIZE", 1))
    need = processes * sum(size * min(number, _AHEAD * workers) for size, number in batches)
    if need <= free:
        return
    up_to = "" if sure else "up to "
    problem = (
        f"the batches of {workers} workers need {up_to}{need / _MEGA:.0f} MB of {_SHARED}, where"
        f" {free / _MEGA:.0f} MB are free"
    )
    advice = (
        f"give the container more (docker run --shm-size {need / 1e9 + 1:.0f}g), or lower {key},"
        " which needs none at 0"
    )
    if sure:
        raise UserError(problem, advice)
    logger.warning(f"{problem}; should the run wait for ever, {advice}")
