"""The records of a pretrained classifier: of its training, and of evaluations."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from robust_det.classification.attack_settings import eval_attack
from robust_det.classification.methods.cost import Cost
from robust_det.classification.per_class.table import CLASSES_NAME
from robust_det.core.config.reading import CfgNode, to_dict
from robust_det.core.files import sha256_file
from robust_det.data.classification.held_out import HeldOut
from robust_det.models import ModelCard
from robust_det.records import environment, write_record
from robust_det.records.base import Change, File, Weights, as_json
from robust_det.records.metrics import PRETRAIN_METRICS
from robust_det.records.pretrain import (
    AttackEvaluator,
    ClassifierEvaluationRecord,
    ImageSets,
    PretrainRecord,
    SplitOff,
    TrainImages,
    TrainingCost,
    ValImages,
)

__all__ = ["attack_evaluator", "split_off", "write_evaluation_record", "write_pretrain_record"]


def write_pretrain_record(
    weights: Path,
    *,
    name: str,
    cfg: CfgNode,
    card: ModelCard,
    values: dict[str, Any],
    train_images: int,
    held_out: HeldOut | None,
    started_from: Mapping[str, str] | None,
    changes: Sequence[Change],
    device: str,
    processes: int,
    seconds: float,
    cost: Cost,
) -> Path:
    """Write ``record.json`` beside the final weights.

    Args:
        weights: the file of the final weights.
        name: of the run.
        cfg, card: the run's config, and what is known about the classifier.
        values: of the last epoch; accuracies in percent.
        train_images: size of the training split; those of the other are among the values.
        held_out: how that was split off the training images, if it was.
        started_from: path and sha256 of the file that the weights started from, if there was one.
        changes: of its config, see :class:`.Record`.
        device: the torch device the run was on.
        processes: how many trained together.
        seconds: of training, over all sessions.
        cost: of its steps.
    """
    record = PretrainRecord(
        name=name,
        arch=card.arch,
        norm=card.norm,
        eps=cfg.ATTACK.EPS,  # that of the card, which of other classifiers may be unknown
        weights=Weights(str(weights), sha256_file(weights)),
        seed=cfg.SEED,
        raw_config=as_json(to_dict(cfg)),
        environment=environment(device),
        wall_time_s=round(seconds, 1),
        data=ImageSets(TrainImages(train_images, len(card.classes)), _validated(values, held_out)),
        evaluators=[attack_evaluator(cfg, values)],
        per_class=_classes(weights.parent),
        started_from=File(**started_from) if started_from else None,
        changes=list(changes),
        metrics=_metrics(values),
        processes=processes,
        cost=TrainingCost(
            cfg.TRAIN.METHOD if cfg.ATTACK.EPS > 0 else "standard",
            cost.forward,
            cost.backward,
            int(values["step"]) * cfg.TRAIN.BATCH_SIZE,
            cfg.ATTACK.NAME if cfg.ATTACK.EPS > 0 else "",
        ),
    )
    return write_record(weights.parent, record)


def write_evaluation_record(
    folder: Path,
    *,
    name: str,
    cfg: CfgNode,
    weights: Path,
    card: ModelCard,
    classes: int,
    held_out: HeldOut | None,
    values: Mapping[str, Any],
    device: str,
    processes: int,
    seconds: float,
) -> Path:
    """Write the ``record.json`` of an evaluation.

    Args:
        folder: see :func:`robust_det.training.run_folder.evaluation_folder`.
        name: of the evaluation.
        cfg: the config, with what the file says of its network.
        weights, card: the file, and what it says.
        classes: how many the images are of.
        held_out: how they were split off training images, if they were.
        values: of the validation; accuracies in percent.
        device, processes: where it ran.
        seconds: that it took.
    """
    record = ClassifierEvaluationRecord(
        name=name,
        arch=card.arch,
        norm=card.norm,
        eps=card.eps,
        weights=Weights(str(weights), sha256_file(weights)),
        seed=cfg.SEED,
        raw_config=as_json(to_dict(cfg)),
        environment=environment(device),
        wall_time_s=round(seconds, 1),
        data=_validated(values, held_out),
        classes=classes,
        per_class=_classes(folder),
        evaluators=[attack_evaluator(cfg, values)],
        metrics=_metrics(values),
        processes=processes,
    )
    return write_record(folder, record)


def _classes(folder: Path) -> File | None:
    """Return the file of the classes' accuracies."""
    path = folder / CLASSES_NAME
    return File(path.name, sha256_file(path)) if path.exists() else None


def _metrics(values: Mapping[str, Any]) -> dict[str, float | None]:
    return {metric: values[metric] for metric in PRETRAIN_METRICS if metric in values}


def attack_evaluator(cfg: CfgNode, values: Mapping[str, Any]) -> AttackEvaluator:
    """Return the attack of a config's validation, and how many images it was measured on."""
    attack = eval_attack(cfg)
    return AttackEvaluator(
        name="PGD",
        norm=attack.threat.norm,
        eps=attack.threat.eps,
        steps=attack.steps,
        step_size=attack.step_size,
        objective=cfg.EVAL.OBJECTIVE,
        restarts=attack.restarts,
        images=int(values["attacked_images"]),
    )


def _validated(values: Mapping[str, Any], held_out: HeldOut | None) -> ValImages:
    """Return which images the figures of a validation are of, and how many are missing."""
    return ValImages(int(values["val_images"]), int(values["corrupt"]), split_off(held_out))


def split_off(held_out: HeldOut | None) -> SplitOff | None:
    """Return how images were split off as a record keeps it."""
    return SplitOff(**dataclasses.asdict(held_out)) if held_out is not None else None
