"""The run record of a pretrained classifier."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from robust_det.classification.settings import eval_attack
from robust_det.core.config.reading import CfgNode, to_dict
from robust_det.core.files import sha256_file
from robust_det.models import ModelCard
from robust_det.records import environment, write_record
from robust_det.records.base import Weights, as_json
from robust_det.records.metrics import PRETRAIN_METRICS
from robust_det.records.pretrain import (
    AttackEvaluator,
    ImageSets,
    PretrainRecord,
    TrainImages,
    ValImages,
)

__all__ = ["write_pretrain_record"]


def write_pretrain_record(
    weights: Path,
    *,
    name: str,
    cfg: CfgNode,
    card: ModelCard,
    values: dict[str, Any],
    train_images: int,
    val_images: int,
    device: str,
    processes: int,
    seconds: float,
) -> Path:
    """Write ``record.json`` beside the final weights.

    Args:
        weights: the file of the final weights.
        name: of the run.
        cfg, card: the run's config, and what is known about the classifier.
        values: of the last epoch; accuracies in percent.
        train_images, val_images: sizes of the splits.
        device: the torch device the run was on.
        processes: how many trained together.
        seconds: of training, over all sessions.
    """
    attack = eval_attack(cfg)
    evaluator = AttackEvaluator(
        name="PGD",
        norm=attack.threat.norm,
        eps=attack.threat.eps,
        steps=attack.steps,
        step_size=attack.step_size,
        objective=cfg.EVAL.OBJECTIVE,
        restarts=attack.restarts,
        images=min(cfg.EVAL.ADVERSARIAL_IMAGES or val_images, val_images),
    )
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
        data=ImageSets(TrainImages(train_images, len(card.classes)), ValImages(val_images)),
        evaluators=[evaluator],
        metrics={metric: values[metric] for metric in PRETRAIN_METRICS if metric in values},
        processes=processes,
    )
    return write_record(weights.parent, record)
