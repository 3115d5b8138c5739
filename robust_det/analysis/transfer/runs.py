"""What comparison needs of the records of transfers."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from robust_det.analysis.transfer.conditions import METRIC_LABELS, Conditions, conditions_of
from robust_det.core.errors import UserError
from robust_det.data.transfer.catalogue import SETS
from robust_det.records.pretrain import AttackEvaluator
from robust_det.records.transfer import TransferRecord

__all__ = ["ADVERSARIAL_TOP1", "Run", "runs_of"]

ADVERSARIAL_TOP1 = "adversarial_top1"


@dataclass(frozen=True)
class Run:
    """A transfer.

    Attributes:
        path, record: where it is, and what it says.
        conditions: what it was run under.
        attack: that it was attacked by; None if it was not.
        figures: accuracies in percent, NaN where undefined.
        attacked: those under attack, ``adversarial_top1`` first; empty without one.
    """

    path: Path
    record: TransferRecord
    conditions: Conditions
    attack: AttackEvaluator | None
    figures: Mapping[str, float]
    attacked: Mapping[str, float]

    @property
    def norm(self) -> str | None:
        """Of the pretraining's threat model; None at eps 0, where it makes no difference."""
        return self.record.norm if self.record.norm and self.record.eps else None


def runs_of(records: Sequence[tuple[Path, TransferRecord]]) -> list[Run]:
    """Return the runs of records.

    Args:
        records: each with its file.

    Raises:
        UserError: a record has not what comparison needs.
    """
    return [_run(path, record) for path, record in records]


def _run(path: Path, record: TransferRecord) -> Run:
    if record.data.set not in SETS:
        raise UserError(
            f"run record {path}: field 'data.set' is '{record.data.set}', which this version does"
            " not know; upgrade robust_det"
        )
    if not record.weights.sha256:
        raise UserError(
            f"run record {path}: field 'weights.sha256' is empty, and without it pretraining runs"
            " cannot be told apart; leave the run out"
        )
    for name in METRIC_LABELS:
        if name not in record.metrics:
            raise UserError(f"run record {path}: field 'metrics.{name}' is missing")
    if record.data.headline not in METRIC_LABELS:
        raise UserError(
            f"run record {path}: field 'data.headline' is '{record.data.headline}', not"
            f" {' or '.join(METRIC_LABELS)}"
        )
    if len(record.evaluators) > 1:
        raise UserError(
            f"run record {path}: field 'evaluators' has {len(record.evaluators)} attacks, and"
            " 'metrics' does not say which its figures are of; leave the run out"
        )
    values = {k: math.nan if v is None else v for k, v in record.metrics.items()}
    attack = next((one for one in record.evaluators if one.eps), None)
    if attack is not None and ADVERSARIAL_TOP1 not in values:
        raise UserError(f"run record {path}: field 'metrics.{ADVERSARIAL_TOP1}' is missing")
    under_attack = {k: v for k, v in values.items() if k.startswith("adversarial")}
    return Run(
        path=path,
        record=record,
        conditions=conditions_of(record),
        attack=attack,
        figures={k: v for k, v in values.items() if k not in under_attack},
        attacked=under_attack if attack is not None else {},
    )
