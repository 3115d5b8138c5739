"""The kinds of records there are."""

from __future__ import annotations

from robust_det.records.base import Record
from robust_det.records.detection import DetectionRecord
from robust_det.records.pretrain import ClassifierEvaluationRecord, PretrainRecord
from robust_det.records.robustness import RobustnessRecord
from robust_det.records.transfer import TransferRecord

__all__ = ["KINDS"]

_CLASSES: tuple[type[Record], ...] = (
    DetectionRecord,
    PretrainRecord,
    ClassifierEvaluationRecord,
    TransferRecord,
    RobustnessRecord,
)

# by what a record's field 'kind' says
KINDS = {record.kind(): record for record in _CLASSES}
