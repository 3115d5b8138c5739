"""How a run was trained, and how it was evaluated: what has to be equal within a mean."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import msgspec

from robust_det.analysis.labels import condition_labels as detector_labels
from robust_det.analysis.pretraining_keys import training_keys
from robust_det.analysis.runs import conditions_of as detector_conditions
from robust_det.analysis.transfer.conditions import condition_labels as transfer_labels
from robust_det.analysis.transfer.conditions import conditions_of as transfer_conditions
from robust_det.records.base import Record
from robust_det.records.detection import DetectionRecord
from robust_det.records.evaluation_keys import at_evaluation
from robust_det.records.pretrain import (
    AttackEvaluator,
    ClassifierEvaluationRecord,
    PretrainRecord,
)
from robust_det.records.robustness import RobustnessRecord
from robust_det.records.transfer import TransferRecord

__all__ = ["ATTACKED", "Terms", "terms_of"]

ATTACKED = "adversarial_top1"

# of pretraining: what tells backbones apart, not how they were trained
_OF_BACKBONES = ("ATTACK.EPS", "ATTACK.NORM")


@dataclass(frozen=True)
class Terms:
    """What has to be equal for two runs to be in one mean, by names that people know.

    Attributes:
        training: how it was trained, the backbone and the seed aside.
        evaluation: how it was evaluated.
        attack: behind its accuracy under attack; empty without one.
    """

    training: dict[str, Any]
    evaluation: dict[str, Any]
    attack: dict[str, Any]


def terms_of(record: Record) -> Terms:
    """Return the terms of a record of any kind."""
    return _OF[type(record)](record)


def _detection(record: DetectionRecord) -> Terms:
    labels = detector_labels(detector_conditions(record))
    evaluation = {key: value for key, value in labels.items() if _evaluates(key)}
    training = {key: value for key, value in labels.items() if key not in evaluation}
    return Terms(training, evaluation, {})


def _evaluates(label: str) -> bool:
    return label.startswith(("test data", "evaluator", "detector")) or at_evaluation(label)


def _transfer(record: TransferRecord) -> Terms:
    labels = transfer_labels(transfer_conditions(record))
    evaluation = {key: labels.pop(key) for key in ("data: test", "data: skipped")}
    return Terms(labels, evaluation, _attack(record.evaluators))


def _pretrain(record: PretrainRecord) -> Terms:
    training = training_keys(record)
    for key in _OF_BACKBONES:
        training.pop(key, None)
    train: dict[str, Any] = msgspec.to_builtins(record.data.train)
    training |= {f"train data: {name}": value for name, value in train.items()}
    evaluation = {"test data: images": record.data.val.images}
    return Terms(training, evaluation, _attack(record.evaluators))


def _evaluation(record: ClassifierEvaluationRecord) -> Terms:
    evaluation = {"test data: images": record.data.images, "test data: classes": record.classes}
    return Terms({}, evaluation, _attack(record.evaluators))


def _robustness(record: RobustnessRecord) -> Terms:
    data = record.data
    names = ("images", "digest", "classes", "size", "resize")
    evaluation: dict[str, Any] = {f"test data: {name}": getattr(data, name) for name in names}
    evaluation |= {"attacks": f"{record.budget} {record.budget_version} {record.attack_norm}"}
    evaluation |= {"eps of the attacks": [one.eps for one in record.robust]}
    return Terms({}, evaluation, {})


_OF: dict[type, Callable[[Any], Terms]] = {
    DetectionRecord: _detection,
    TransferRecord: _transfer,
    PretrainRecord: _pretrain,
    ClassifierEvaluationRecord: _evaluation,
    RobustnessRecord: _robustness,
}


def _attack(evaluators: list[AttackEvaluator]) -> dict[str, Any]:
    attacks = [one for one in evaluators if one.eps]
    facts: list[dict[str, Any]] = [msgspec.structs.asdict(one) for one in attacks]
    return {f"attack: {name}": value for one in facts for name, value in one.items()}
