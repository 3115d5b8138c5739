"""A run's folder: whose it is, and whether a run may go on in it."""

from __future__ import annotations

import contextlib
import itertools
import logging
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from robust_det.core.config.reading import config_differences, flatten, to_dict
from robust_det.core.errors import UserError
from robust_det.core.locks import FolderLock
from robust_det.records.base import Change
from robust_det.training.world import World

__all__ = [
    "AS_BEFORE",
    "MayChange",
    "RunFolder",
    "allowed_changes",
    "evaluation_folder",
    "held_evaluation",
    "held_folder",
    "refuse_other_config",
    "refuse_other_run",
    "say_changes",
    "set_aside",
]

logger = logging.getLogger(__name__)

_ADVICE = "use that config or another OUTPUT_DIR"
_EVALUATION = "eval"
_NUMBERED = re.compile(f"{_EVALUATION}(-[0-9]+)?")


def refuse_other_run(
    folder: Path, products: Sequence[str], resume: bool, resumed_from: Sequence[str]
) -> None:
    """Refuse a folder that holds a run which this one may not go on with.

    Args:
        folder: of the run; it need not exist.
        products: files that a run leaves.
        resume: whether a run that is there may be gone on with.
        resumed_from: those of the products that one can be gone on from.

    Raises:
        UserError: it holds a run, and ``resume`` was not asked for or is not possible.
    """
    found = [name for name in products if (folder / name).exists()]
    if not found:
        return
    resumable = [name for name in resumed_from if name in found]
    if not resumable:
        raise UserError(
            f"{folder} holds a run ({found[0]}) and no {resumed_from[0]} to resume from;"
            " choose another OUTPUT_DIR"
        )
    if not resume:
        raise UserError(
            f"{folder} holds a run; pass --resume to go on with it, or choose another OUTPUT_DIR"
        )


def refuse_other_config(
    old: Mapping[str, Any],
    new: Mapping[str, Any],
    free: Sequence[str],
    where: Path,
    advice: str = _ADVICE,
) -> None:
    """Refuse to go on with a run whose config computes something else.

    Args:
        old, new: the run's config, and the one to go on with.
        free: keys that change where or how fast a run goes, but not what it computes.
        where: the file or folder of the run.
        advice: what to do.

    Raises:
        UserError: lists the differing keys.
    """
    differing = config_differences(old, new, ignore=free)
    if differing:
        raise UserError(f"{where} is of a run with another config ({'; '.join(differing)})", advice)


def allowed_changes(
    old: Mapping[str, Any],
    new: Mapping[str, Any],
    free: Sequence[str],
    schedule: Sequence[str],
    *,
    where: Path,
    step: int,
    asked: bool,
    earlier: Sequence[Change] = (),
) -> list[Change]:
    """Return the changes of schedule that ``--new-schedule`` asks for; refuse all others.

    Args:
        old, new, free, where: see :func:`refuse_other_config`.
        schedule: the keys that may change if it is ``asked`` for.
        step: how many steps the run has done.
        earlier: changes that were made before: after one of the schedule it may be asked for as it
            is, by a job that is started once more.

    Raises:
        UserError: another key differs, or the schedule does and it was not asked for, or does not
            and it was.
    """
    before, after = (flatten(to_dict(each)) for each in (old, new))
    changed = [key for key in schedule if before.get(key) != after.get(key)]
    others = config_differences(old, new, [*free, *schedule])
    advice = "use that config, another OUTPUT_DIR, or --resume --new-schedule"
    if others:
        advice = f"{_ADVICE}; --new-schedule changes {_named(schedule)} alone" if asked else _ADVICE
    refuse_other_config(old, new, [*free, *schedule] if asked else free, where, advice)
    again = any(one.key in schedule for one in earlier)
    if asked and not changed and not again:
        raise UserError(
            f"--new-schedule changes nothing of {where}: {_named(schedule)} are as before; give the"
            " new ones, or leave it out"
        )
    return [Change(step, key, before.get(key), after.get(key)) for key in changed]


def _named(keys: Sequence[str]) -> str:
    """List keys, each section once: ``SOLVER.MAX_ITER, STEPS and GAMMA``."""
    names, section = [], ""
    for key in keys:
        parent, _, leaf = key.rpartition(".")
        names.append(leaf if parent == section else key)
        section = parent
    return f"{', '.join(names[:-1])} and {names[-1]}"


def say_changes(changes: Sequence[Change]) -> None:
    """Log what is otherwise from here."""
    for change in changes:
        logger.info(f"{change.key} is {change.after} from here, {change.before} before")


def set_aside(product: Path, steps: int) -> None:
    """Rename what a run that goes on ended with, such as to ``record_STEPS.json``."""
    if product.exists():
        product.rename(product.with_stem(f"{product.stem}_{steps}"))


def evaluation_folder(folder: Path, done: str) -> tuple[Path, list[Path]]:
    """Return where the next evaluation goes: ``eval`` in its run's folder, then ``eval-2``, ...

    None is ever replaced, nor is the run's own record. A folder that an evaluation has begun and
    not ended is used again.

    Args:
        folder: ``OUTPUT_DIR``.
        done: the file that an evaluation writes at its end.

    Returns:
        The folder, which need not exist, and those of the evaluations before it.
    """
    numbered = (
        folder / (_EVALUATION if n == 1 else f"{_EVALUATION}-{n}") for n in itertools.count(1)
    )
    free = next(one for one in numbered if not (one / done).exists())
    found = (path.parent for path in folder.glob(f"{_EVALUATION}*/{done}"))
    return free, sorted(one for one in found if _NUMBERED.fullmatch(one.name))


@dataclass(frozen=True)
class MayChange:
    """What a run that goes on may do otherwise than before, since somebody asked for it.

    Attributes:
        schedule: how long it trains, and by which rate.
        world_size: how many processes train.
    """

    schedule: bool = False
    world_size: bool = False


AS_BEFORE = MayChange()


class RunFolder:
    """A folder that this run alone writes.

    Attributes:
        restarted: whether a launcher started these processes anew, since one of those that it had
            started for this run failed: they go on with it, unasked.
    """

    def __init__(self, lock: FolderLock | None, restarted: bool) -> None:
        self._lock, self.restarted = lock, restarted

    def begin(self) -> None:
        """Say that what was here before allows the run, which begins."""
        if self._lock is not None:
            self._lock.keep()

    def end(self) -> None:
        """Say that the run is finished."""
        if self._lock is not None:
            self._lock.drop()


@contextlib.contextmanager
def held_folder(folder: Path, world: World) -> Iterator[RunFolder]:
    """Hold the lock of a run's folder; the main process takes it, for all.

    Raises:
        UserError: another process is at work there, or nothing can be written; in all processes.
    """
    lock: FolderLock | None = None
    problem: UserError | None = None
    if world.is_main:
        try:
            lock = FolderLock(folder)
        except UserError as error:
            problem = error
    try:
        again = int(os.environ.get("TORCHELASTIC_RESTART_COUNT") or 0) > 0
        restarted = lock is not None and again and lock.relaunched
        said: Any = world.gather((problem, restarted))[0]
        if said[0] is not None:
            raise said[0]
        yield RunFolder(lock, said[1])
    finally:
        if lock is not None:
            lock.release()


@contextlib.contextmanager
def held_evaluation(folder: Path, done: str, world: World) -> Iterator[tuple[Path, list[Path]]]:
    """Hold the folder of the next evaluation, see :func:`evaluation_folder`.

    Another one that ended between the choice and the lock has that folder, and this one the next.

    Raises:
        UserError: see :func:`held_folder`.
    """
    while True:
        free, before = evaluation_folder(folder, done)
        free = Path(str(world.gather(free)[0]))  # processes may look before and after it
        with held_folder(free, world):
            if not any(world.gather((free / done).exists())):
                yield free, before
                return
