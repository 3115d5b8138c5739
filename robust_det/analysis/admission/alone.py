"""What speaks against a record by itself."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from robust_det.analysis.admission.causes import LeftOut
from robust_det.analysis.admission.terms import ATTACKED
from robust_det.analysis.runs import NO_EPS
from robust_det.analysis.runs import runs_of as detector_runs
from robust_det.analysis.transfer.runs import runs_of as transfer_runs
from robust_det.core.errors import UserError
from robust_det.records.base import Record
from robust_det.records.detection import DetectionRecord
from robust_det.records.metrics import task_of
from robust_det.records.pretrain import PretrainRecord
from robust_det.records.transfer import TransferRecord

__all__ = ["lacking", "undefined", "unfinished"]

_Pairs = Sequence[tuple[Path, Record]]


def lacking(records: _Pairs) -> Iterator[LeftOut]:
    """Yield the records without what a mean needs of them."""
    for path, record in records:
        if isinstance(record, DetectionRecord) and record.eps is None:
            yield LeftOut(path, "lacking", NO_EPS)
            continue
        try:
            if isinstance(record, DetectionRecord):
                detector_runs([(path, record)])
            elif isinstance(record, TransferRecord):
                transfer_runs([(path, record)])
        except UserError as error:
            yield LeftOut(path, "lacking", error.reason.removeprefix(f"run record {path}: "))


def unfinished(records: _Pairs) -> Iterator[LeftOut]:
    """Yield the detectors that were evaluated before their training's end."""
    for path, record in records:
        detector = record.detector if isinstance(record, DetectionRecord) else None
        if detector is not None and detector.unfinished and not detector.best_by:
            done = f"{detector.iterations} of {detector.planned} iterations"
            yield LeftOut(path, "interrupted", f"its detector has {done}")


def undefined(records: _Pairs) -> Iterator[LeftOut]:
    """Yield the figures that runs are compared by and that have no value."""
    for path, record in records:
        for name in _missing(record):
            yield LeftOut(path, "undefined", "it has no value (NaN or infinite)", name)


def _missing(record: Record) -> list[str]:
    if isinstance(record, DetectionRecord):
        heads = {task: task_of(task).headline for task in record.metrics}
        return [
            f"{task}.{head}"
            for task, head in heads.items()
            if record.metrics[task].get(head) is None
        ]
    metrics: dict[str, float | None] = getattr(record, "metrics", {})
    names = ["clean_top1", ATTACKED]
    if isinstance(record, TransferRecord):
        names = [record.data.headline, ATTACKED]
    if isinstance(record, PretrainRecord):
        names.append("train_loss")  # by which a training that diverged is known
    return [name for name in names if name in metrics and metrics[name] is None]
