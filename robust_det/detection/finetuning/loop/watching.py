"""How long a run has taken, over all sessions, and how far its evaluation is."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator, Mapping
from typing import Any

from robust_det.core.progress import progress_bar
from robust_det.core.signals import WaitCutShort
from robust_det.detection.finetuning.loop.stopping import exit_if_asked
from robust_det.detection.finetuning.worker_errors import raise_returned
from robust_det.training.waiting import loaded

__all__ = ["Stopwatch", "WithProgress"]


class Stopwatch:
    """Seconds since its making, over all sessions of a run; a checkpointable."""

    def __init__(self) -> None:
        self._before = 0.0
        self._start = time.perf_counter()

    @property
    def total(self) -> float:
        """Seconds so far."""
        return self._before + time.perf_counter() - self._start

    def state_dict(self) -> dict[str, float]:
        """Return what resuming needs."""
        return {"seconds": self.total}

    def load_state_dict(self, state: Mapping[str, float]) -> None:
        """Continue from an earlier session's time."""
        self._before, self._start = state["seconds"], time.perf_counter()


class WithProgress:
    """A data loader that shows a progress bar while it is iterated, and raises what its mapper
    returned of :class:`.ReturningErrors`."""

    def __init__(self, loader: Any, label: str, enabled: bool) -> None:
        self.loader, self.label, self.enabled = loader, label, enabled
        self.dataset = loader.dataset

    def __len__(self) -> int:
        return len(self.loader)

    def __iter__(self) -> Iterator[Any]:
        with (
            progress_bar(len(self.loader), self.label, "img", self.enabled) as bar,
            contextlib.closing(loaded(self.loader)) as items,
        ):
            for item in _until_asked(items):
                raise_returned(item)
                yield item
                bar.update(1)


def _until_asked(items: Iterator[Any]) -> Iterator[Any]:
    try:
        for item in items:
            exit_if_asked()
            yield item
    except WaitCutShort:
        exit_if_asked()
        raise
