"""Sides that take turns, so that none always runs after the same other."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    import torch

__all__ = ["alternated", "in_turn", "timed"]

T = TypeVar("T")


def in_turn(sides: Iterable[T], rounds: int) -> Iterator[T]:
    """Give all sides in each round, in every other one from the last to the first."""
    order = list(sides)
    for number in range(rounds):
        yield from order[:: -1 if number % 2 else 1]


def alternated(
    sides: dict[str, Callable[[], object]],
    rounds: int,
    device: torch.device,
    warm_up: int = 1,
    clock: Callable[[], float] = time.perf_counter,
) -> dict[str, float]:
    """Return the median seconds of a call of each side, after ``warm_up`` calls of each."""
    for _ in range(warm_up):
        for side in sides.values():
            timed(side, device)
    taken: dict[str, list[float]] = {name: [] for name in sides}
    for name in in_turn(sides, rounds):
        taken[name].append(timed(sides[name], device, clock))
    return {name: statistics.median(values) for name, values in taken.items()}


def timed(
    side: Callable[[], object],
    device: torch.device,
    clock: Callable[[], float] = time.perf_counter,
) -> float:
    """Return the seconds of one call, the GPU's queue included."""
    start = clock()
    side()
    if device.type == "cuda":
        import torch  # not above: some time how long a process takes to start

        torch.cuda.synchronize()
    return clock() - start
