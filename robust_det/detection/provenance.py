"""Where a detector comes from: kept in each of its checkpoints, whatever becomes of the run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec
from detectron2.config import CfgNode

from robust_det.checkpoints.io import peek_checkpoint
from robust_det.core.config.reading import flatten
from robust_det.core.errors import UserError
from robust_det.core.files import sha256_file
from robust_det.detection.categories import ClassNames, categories_in
from robust_det.records.base import Change
from robust_det.records.detection import DataSet, Detector, InitDetector

__all__ = [
    "BEST_KEY",
    "PROVENANCE_KEY",
    "SCHEDULE_KEYS",
    "Provenance",
    "changes_since",
    "class_names_in",
    "detector_of",
    "iterations_in",
    "provenance_in",
    "same_data",
    "schedule_changes",
]

PROVENANCE_KEY = "provenance"
# of a checkpoint that was kept as the best: the metric, and its value in percent
BEST_KEY = "best"


# what --new-schedule may change: how long a run trains, and by which rate
SCHEDULE_KEYS = (
    "SOLVER.MAX_ITER",
    "SOLVER.STEPS",
    "SOLVER.GAMMA",
    "SOLVER.BASE_LR",
    "SOLVER.BASE_LR_END",
    "SOLVER.LR_SCHEDULER_NAME",
    "SOLVER.NUM_DECAYS",
    "SOLVER.RESCALE_INTERVAL",
    "SOLVER.WARMUP_FACTOR",
    "SOLVER.WARMUP_ITERS",
    "SOLVER.WARMUP_METHOD",
)


class Provenance(msgspec.Struct, frozen=True):
    """What a detector was trained by.

    Attributes:
        config: the complete config, as plain values.
        train: its training data.
        weights_sha256: of the file in ``MODEL.WEIGHTS``; empty without one.
        init_detector: that it started from, if it did not from a backbone alone.
        stuff: the names of the classes of pixels, in the detector's order.
        changes: of the config, see :class:`.Record`.
        test: the data that it was tested on meanwhile; None in files of before.
    """

    config: dict[str, Any]
    train: list[DataSet]
    weights_sha256: str = ""
    init_detector: InitDetector | None = None
    stuff: list[str] = []
    changes: list[Change] = []
    test: list[DataSet] | None = None

    def plain(self) -> dict[str, Any]:
        """Return it as a checkpoint has it: numbers, strings, lists and dictionaries."""
        found: dict[str, Any] = msgspec.to_builtins(self)
        return found


def provenance_in(content: Mapping[str, Any], path: str | Path) -> Provenance | None:
    """Return what a detector's file says of its training; None if it was written without.

    Raises:
        UserError: damaged.
    """
    plain = content.get(PROVENANCE_KEY)
    if plain is None:
        return None
    try:
        return msgspec.convert(plain, Provenance)
    except msgspec.ValidationError as error:
        raise UserError(
            f"{path} has a damaged description of its training ({error}); copy the file again"
        ) from error


def changes_since(before: Provenance, now: Provenance, step: int) -> list[Change]:
    """Return in what a run that goes on differs from how it was trained until then.

    Args:
        before: of the file that is gone on from.
        now: of this session.
        step: how many iterations the file has behind it.
    """
    changes = schedule_changes(before.config, now.config, step)
    if None not in (before.test, now.test) and not same_data(before.test or [], now.test or []):
        tested = ([_said(one) for one in each.test or []] for each in (before, now))
        changes.append(Change(step, "DATASETS.TEST", *tested))
    return changes


def schedule_changes(before: Mapping[str, Any], now: Mapping[str, Any], step: int) -> list[Change]:
    """Return in what the schedules of two complete configs, as plain values, differ."""
    then, new = flatten(before), flatten(now)
    # a key that the one does not have came with another version of Detectron2
    return [
        Change(step, key, then[key], new.get(key))
        for key in SCHEDULE_KEYS
        if key in then and then[key] != new.get(key)
    ]


def _said(one: DataSet) -> str:
    content = ", ".join(each[:16] for each in one.content if each)
    return f"{one.name}: {one.images} images, {one.annotations} objects, sha256 {content}"


def iterations_in(content: Mapping[str, Any]) -> int | None:
    """Return how many iterations of training a detector's file says are behind it."""
    last = content.get("iteration")
    return last + 1 if isinstance(last, int) else None


def class_names_in(content: Mapping[str, Any], path: str | Path) -> ClassNames:
    """Return the classes of a detector's file.

    Raises:
        UserError: damaged.
    """
    made = provenance_in(content, path)
    objects = tuple(category["name"] for category in categories_in(content, str(path)))
    return ClassNames(objects, tuple(made.stuff) if made else ())


def same_data(some: Sequence[DataSet], others: Sequence[DataSet]) -> bool:
    """Whether data sets have the same images and annotations, wherever they lie."""
    return [(one.content, one.images) for one in some] == [
        (one.content, one.images) for one in others
    ]


def detector_of(path: Path, cfg: CfgNode) -> tuple[Detector, Provenance | None]:
    """Return what a record says of a detector's file, and its provenance.

    Args:
        path: the file.
        cfg: that it was evaluated with, which is believed where the file says nothing.
    """
    content = peek_checkpoint(path)
    known = provenance_in(content, path)
    best = content.get(BEST_KEY)
    kept = best if isinstance(best, Mapping) else {}
    planned = known.config["SOLVER"]["MAX_ITER"] if known else cfg.SOLVER.MAX_ITER
    detector = Detector(
        str(path),
        sha256_file(path),
        iterations=iterations_in(content),
        planned=planned,
        best_by=str(kept.get("metric", "")),
        best=kept.get("value"),
        averaged="average" in content,
        assumed=() if known else ("seed", "data.train", "schedule"),
    )
    return detector, known
