"""Several commands on this machine, a few at a time, each with its share of GPUs or cores."""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch

from robust_det.core.signals import end_with_parent

__all__ = ["Job", "Pool", "default_jobs", "share_of"]

_PAUSE = 0.5  # seconds between two looks


@dataclass(frozen=True)
class Job:
    """A command, and the file its output goes to."""

    command: Sequence[str]
    output: Path

    def last_error(self) -> str:
        """The line in which it said what was wrong, else its last line."""
        lines = self.output.read_text(errors="replace").replace("\r", "\n").split("\n")
        lines = [line.strip() for line in lines if line.strip()]
        errors = [line.removeprefix("error: ") for line in lines if line.startswith("error: ")]
        return [*lines[-1:], *errors][-1] if lines else "it said nothing"


def default_jobs() -> int:
    """Return how many runs go at once unless told: one a GPU, or one on the CPU."""
    return max(len(_gpus()), 1)


def _gpus() -> list[str]:
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    if visible is not None:
        return [name for name in visible.split(",") if name.strip()]
    return [str(number) for number in range(torch.cuda.device_count())]


def share_of(slot: int, slots: int) -> dict[str, str]:
    """Return the environment that gives one of several processes its GPUs, or its cores.

    Args:
        slot: from 0.
        slots: how many run at once; more than there are GPUs share them.
    """
    if gpus := _gpus():
        return {"CUDA_VISIBLE_DEVICES": ",".join(gpus[slot::slots] or [gpus[slot % len(gpus)]])}
    if "OMP_NUM_THREADS" in os.environ:
        return {}
    return {"OMP_NUM_THREADS": str(max(len(os.sched_getaffinity(0)) // slots, 1))}


class Pool:
    """Runs jobs, a few at a time.

    Args:
        slots: how many at once.
    """

    def __init__(self, slots: int) -> None:
        self.running: dict[int, tuple[Job, subprocess.Popen[bytes]]] = {}
        self.slots = slots

    def run(
        self, jobs: Sequence[Job], look: Callable[[], None], ended: Callable[[Job, int], None]
    ) -> None:
        """Run all jobs; one that fails does not stop the others.

        If this is interrupted, it asks the running jobs to stop, with SIGTERM, and waits for them.

        Args:
            jobs: in their order.
            look: is called about twice a second.
            ended: is called with each job that ended and its exit code.
        """
        waiting = list(jobs)
        try:
            while waiting or self.running:
                for slot in range(self.slots):
                    if waiting and slot not in self.running:
                        job = waiting.pop(0)
                        self.running[slot] = (job, self._start(job, slot))
                time.sleep(_PAUSE)
                for slot, (job, process) in list(self.running.items()):
                    if (code := process.poll()) is not None:
                        del self.running[slot]
                        ended(job, code)
                look()
        finally:
            for _, process in self.running.values():
                process.terminate()
            for _, process in self.running.values():
                process.wait()

    def _start(self, job: Job, slot: int) -> subprocess.Popen[bytes]:
        job.output.parent.mkdir(parents=True, exist_ok=True)
        with open(job.output, "ab") as output:
            return subprocess.Popen(
                job.command,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                env={**os.environ, **share_of(slot, self.slots)},
                # Ctrl-C in a terminal goes to this process alone, which asks them to stop
                start_new_session=True,
                preexec_fn=end_with_parent,
            )
