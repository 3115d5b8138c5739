"""A sweep: check every run, and do those that are missing."""

from __future__ import annotations

import logging
import shlex
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from robust_det.core.errors import UserError
from robust_det.core.progress import progress_bar
from robust_det.launch.notation import Entry
from robust_det.launch.processes import Job, Pool
from robust_det.launch.run_progress import iterations_done

__all__ = ["Check", "Planned", "plan", "shown", "sweep"]

logger = logging.getLogger(__name__)

# reads the config of a run, given its file, KEY VALUE pairs and backbone: returns the iterations of
# its training, or 1 where these are not counted, and whether it is finished; raises UserError where
# something is wrong
Check = Callable[[str, Sequence[str], str | None], tuple[int, bool]]


@dataclass(frozen=True)
class Planned:
    """A run of a sweep whose config was read and found sound.

    Attributes:
        entry: what to run.
        folder: its ``OUTPUT_DIR``.
        command: that runs it, or goes on with it.
        iterations: of its training; 1 of a transfer.
        finished: whether its record is there.
    """

    entry: Entry
    folder: Path
    command: tuple[str, ...]
    iterations: int
    finished: bool


def plan(
    entries: Sequence[Entry],
    folder: Path,
    checks: Mapping[str, Check],
    common: Sequence[str] = (),
) -> list[Planned]:
    """Read the config of every run, so that a mistake in the last one is said before the first.

    Args:
        entries: of the sweep.
        folder: each run gets a folder in it.
        checks: by job (``train``, ``transfer``), what reads the config of its runs.
        common: ``KEY VALUE`` pairs of every run, before its own.

    Raises:
        UserError: a config, weights or data are wrong, or a folder holds a run.
    """
    runs = []
    for entry in entries:
        target = folder / entry.name
        own = [word for pair in entry.overrides for word in pair]
        overrides = [*common, *own, "OUTPUT_DIR", str(target)]
        try:
            iterations, finished = checks[entry.job](entry.config, overrides, entry.backbone)
        except UserError as error:
            raise UserError(f"run {entry.name}: {error}") from error
        backbone = ["--backbone", entry.backbone] if entry.backbone else []
        job = [sys.executable, "-m", "robust_det", entry.job]
        command = [*job, "--config", entry.config, *backbone, "--resume", *overrides]
        runs.append(Planned(entry, target, tuple(command), iterations, finished))
    return runs


def sweep(runs: Sequence[Planned], jobs: int) -> list[str]:
    """Do the runs that are not finished, a few at a time.

    Args:
        runs: see :func:`plan`.
        jobs: how many run at once.

    Returns:
        One line for each run that failed.

    """
    missing = [run for run in runs if not run.finished]
    logger.info(f"{len(runs)} runs, {len(runs) - len(missing)} finished already, {jobs} at once")
    by_output = {run.folder / "output.txt": run for run in missing}
    left = {run.folder: run.iterations for run in missing}
    failures: list[str] = []
    pool = Pool(jobs)
    unit = "it" if any(run.entry.job == "train" for run in missing) else "run"
    bar = progress_bar(
        sum(left.values()), "sweep", unit, enabled=bool(missing), initial=iterations_done(left)
    )

    def look() -> None:
        bar.set_postfix(running=len(pool.running), failed=len(failures), refresh=False)
        bar.update(iterations_done(left) - bar.n)

    def ended(job: Job, code: int) -> None:
        name = by_output[job.output].entry.name
        if code == 0:
            logger.info(f"{name}: done")
        else:
            failures.append(f"{name}: {job.last_error()} (exit code {code}, {job.output})")
            logger.info(f"{name}: failed, {job.last_error()}")

    with bar:
        pool.run([Job(run.command, path) for path, run in by_output.items()], look, ended)
    return failures


def shown(run: Planned) -> str:
    """The command of a run, as it would be typed."""
    return shlex.join(("python", *run.command[1:]))
