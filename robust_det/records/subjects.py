"""What a record is about, in the same words for all kinds."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import PurePath
from typing import Any

from robust_det.records.base import Record
from robust_det.records.detection import DetectionRecord
from robust_det.records.metrics import task_of, task_order
from robust_det.records.pretrain import (
    AttackEvaluator,
    ClassifierEvaluationRecord,
    PretrainRecord,
)
from robust_det.records.robustness import RobustnessRecord
from robust_det.records.transfer import TransferRecord

__all__ = ["Subject", "subject_of"]

# of a set's name: its year and its part say nothing of what it shows
_PART = re.compile(r"_(?:(?:19|20)\d\d|train|trainval|val|minival|test)(?=_|$)")
_PARTS = ("val", "valid", "validation", "test", "train")
# the richest task that a detector was scored in -> what is found
_FOUND = {"panoptic_seg": "pan", "segm": "seg", "bbox": "det", "sem_seg": "sem"}


@dataclass(frozen=True)
class Subject:
    """What a record is about; see :data:`.rows.COLUMNS`.

    Attributes:
        product: SHA-256 of the file that the run left, or evaluated; empty if there is none.
        headline, value: the figure that runs are compared by; None where undefined.
        pretraining_seed: of a pretraining itself.
    """

    dataset: str
    task: str
    mode: str
    protocol: str
    headline: str
    value: float | None
    product: str
    pretraining_seed: int | None = None


def subject_of(record: Record) -> Subject:
    """Return what a record of any kind is about."""
    return _OF[type(record)](record)


def _detection(record: DetectionRecord) -> Subject:
    tasks = {name.rpartition("/")[2] for name in record.metrics}
    found = next((word for task, word in _FOUND.items() if task in tasks), "det")
    first = next(iter(task_order(set(record.metrics))), "")
    best = task_of(first).headline
    names = [one.name for one in record.data.test]
    return Subject(
        dataset="+".join(names),
        task=_task(names, found),
        mode="full-network",
        protocol="+".join(one.name for one in record.evaluators),
        headline=f"{first}.{best}" if first else "",
        value=record.metrics.get(first, {}).get(best),
        product=record.detector.sha256 if record.detector else "",
    )


def _transfer(record: TransferRecord) -> Subject:
    attacks = _attacks(record.evaluators)
    return Subject(
        dataset=record.set_name,
        task=_task([record.set_name], "cls"),
        mode=record.mode,
        protocol=", ".join(filter(None, (record.head, *record.quirks, attacks))),
        headline=record.data.headline,
        value=record.metrics.get(record.data.headline),
        product=record.classifier.sha256 if record.classifier else "",
    )


def _pretrain(record: PretrainRecord) -> Subject:
    name = record.images_name
    return Subject(
        dataset=name,
        task=_task([name], "cls"),
        mode=record.cost.words if record.cost else "pgd" if record.eps else "standard",
        protocol=_attacks(record.evaluators),
        headline="clean_top1",
        value=record.metrics.get("clean_top1"),
        product=record.weights.sha256,
        pretraining_seed=record.seed,
    )


def _evaluation(record: ClassifierEvaluationRecord) -> Subject:
    name = record.images_name
    return Subject(
        dataset=name,
        task=_task([name], "cls"),
        mode="",
        protocol=_attacks(record.evaluators),
        headline="clean_top1",
        value=record.metrics.get("clean_top1"),
        product=record.weights.sha256,
    )


def _robustness(record: RobustnessRecord) -> Subject:
    name = _set_of(PurePath(record.data.folder))
    named = f"{record.budget} v{record.budget_version} {record.attack_norm}"
    return Subject(
        dataset=name,
        task=_task([name], "cls"),
        mode="",
        protocol=named if record.robust else "",
        headline="clean_top1",
        value=record.metrics.get("clean_top1"),
        product=record.weights.sha256,
    )


_OF: dict[type, Callable[[Any], Subject]] = {
    DetectionRecord: _detection,
    TransferRecord: _transfer,
    PretrainRecord: _pretrain,
    ClassifierEvaluationRecord: _evaluation,
    RobustnessRecord: _robustness,
}


def _set_of(folder: PurePath) -> str:
    """What a folder of images is called: that of a part of a set, as the set."""
    whole = folder.parent.name if folder.name in _PARTS else ""
    return whole or folder.name


def _task(names: Sequence[str], found: str) -> str:
    families = dict.fromkeys(_PART.sub("", name) for name in names)
    return "_".join(filter(None, ("+".join(families), found)))


def _attacks(evaluators: Sequence[AttackEvaluator]) -> str:
    return "+".join(
        f"{one.name}-{one.steps} {one.norm} {one.eps:g}" for one in evaluators if one.eps
    )
