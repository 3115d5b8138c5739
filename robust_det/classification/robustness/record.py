"""The record of an evaluation, from what became of its images."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from robust_det.attacks.budgets import Budget, Member
from robust_det.classification.per_class.table import CLASSES_NAME, ClassTable
from robust_det.classification.pretrain_record import split_off
from robust_det.classification.robustness.asked import Asked
from robust_det.classification.robustness.fates import Fate
from robust_det.classification.robustness.figures import clean_metrics, correct_of
from robust_det.classification.robustness.subject import Subject
from robust_det.core.files import sha256_file
from robust_det.records import environment
from robust_det.records.base import File, Weights, as_json
from robust_det.records.robustness import (
    Checks,
    EnsembleMember,
    EvaluatedImages,
    RobustAccuracy,
    RobustnessRecord,
)

__all__ = ["robustness_record", "settings_of"]


def settings_of(subject: Subject, asked: Asked) -> dict[str, Any]:
    """Return what the results follow from, as plain values."""
    return {
        "weights": subject.sha256[:16],
        "arch": subject.model.arch,
        "prefix": subject.file.prefix or "",
        "images": subject.digest[:16],
        "size": subject.size,
        "resize": subject.resize,
        "norm": asked.norm,
        "eps": list(asked.radii),
        "budget": asked.budget,
        "budget_version": asked.version,
        "check_images": asked.checks_of(len(subject.data)),
        "seed": asked.seed,
    }


def robustness_record(
    subject: Subject,
    asked: Asked,
    budgets: Sequence[tuple[float, Budget]],
    fates: Sequence[Fate],
    robust: Sequence[RobustAccuracy],
    *,
    table: Path,
    classes: ClassTable,
    settings: Mapping[str, Any],
    checks: Checks | None,
    not_finite: int,
    device: str,
    seconds: float,
) -> RobustnessRecord:
    """Return the record.

    Args:
        subject, asked, budgets: what was evaluated, and by which attacks.
        fates: what became of the images, in their order.
        robust: what was left at each eps.
        table: the file that says so of each, beside the record.
        classes: the same by class, beside it in ``classes.csv``.
        settings: see :func:`settings_of`.
        checks: of masked gradients, if there were any.
        not_finite: how often an attack met logits that are not finite.
        device: where it ran.
        seconds: that it took, over all sessions.
    """
    targets = subject.data.targets.tolist()
    metrics = clean_metrics(fates, targets)
    if not classes.balanced:
        metrics["mean_per_class"] = classes.means()[0]
    card, first = subject.model.card, budgets[0][1] if budgets else None
    return RobustnessRecord(
        name=table.resolve().parent.name,
        arch=card.arch,
        norm=card.norm,
        eps=card.eps,
        weights=Weights(str(subject.file.path), subject.sha256, subject.model.source_sha256),
        seed=asked.seed,
        raw_config=as_json(settings),
        environment=environment(device),
        wall_time_s=round(seconds, 1),
        data=EvaluatedImages(
            str(subject.data.folder),
            len(subject.data),
            subject.of,
            subject.digest,
            len(set(targets)),
            subject.size,
            subject.resize,
            split_off(subject.held_out),
        ),
        metrics=metrics,
        correct=correct_of(fates, targets),
        attack_norm=asked.norm,
        budget=asked.budget,
        budget_version=asked.version,
        members=[_member(one) for one in first.members] if first else [],
        notes=list(first.notes) if first else [],
        robust=list(robust),
        not_finite=not_finite,
        checks=checks,
        images=File(table.name, sha256_file(table)),
        per_class=File(CLASSES_NAME, sha256_file(table.with_name(CLASSES_NAME))),
    )


def _member(one: Member) -> EnsembleMember:
    loss = one.loss if isinstance(one.loss, str) else one.loss.__name__
    attack = type(one.attack).__name__
    return EnsembleMember(one.name, attack, loss, one.targets, *one.passes)
