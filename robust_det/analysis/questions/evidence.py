"""The records that questions are asked of, and what of them does not count."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TypeVar

from robust_det.analysis import grouping as detection_grouping
from robust_det.analysis import runs as detection_runs
from robust_det.analysis.questions.cells import Pretraining
from robust_det.analysis.questions.texture_trained import texture_training
from robust_det.analysis.transfer import grouping as transfer_grouping
from robust_det.analysis.transfer import runs as transfer_runs
from robust_det.core.errors import UserError
from robust_det.records import RECORD_NAME, Record
from robust_det.records.detection import DetectionRecord
from robust_det.records.metrics import task_of
from robust_det.records.pretrain import ClassifierEvaluationRecord, PretrainRecord
from robust_det.records.store import find_records, load_records
from robust_det.records.transfer import TransferRecord

__all__ = ["Evidence", "read_evidence"]

R = TypeVar("R", bound=Record)
_Files = list[tuple[Path, R]]


@dataclass(frozen=True)
class Evidence:
    """Records by kind, each with its file.

    Attributes:
        transfers, detections: of standard and robust backbones of known eps.
        textured: transfers of backbones that were trained on Stylized-ImageNet.
        pretrainings, evaluations: of the backbones.
        left_out: what did not count and why, in sentences.
    """

    transfers: Sequence[tuple[Path, TransferRecord]] = ()
    textured: Sequence[tuple[Path, TransferRecord]] = ()
    detections: Sequence[tuple[Path, DetectionRecord]] = ()
    pretrainings: Sequence[tuple[Path, PretrainRecord]] = ()
    evaluations: Sequence[tuple[Path, ClassifierEvaluationRecord]] = ()
    left_out: Sequence[str] = ()

    @property
    def number(self) -> int:
        """How many records there are."""
        kinds = (self.transfers, self.textured, self.detections, self.pretrainings)
        return sum(map(len, kinds)) + len(self.evaluations)

    @cached_property
    def origins(self) -> Mapping[str, Pretraining]:
        """By the SHA-256 of its weights, which pretraining it was."""
        return {
            record.weights.sha256: Pretraining(
                record.seed, record.started_from.sha256 if record.started_from else ""
            )
            for _, record in self.pretrainings
        }

    @cached_property
    def settings(self) -> list[transfer_grouping.Setting]:
        """The transfers that are comparable with each other."""
        runs = transfer_runs.runs_of(self.transfers)
        return transfer_grouping.group_runs(runs) if runs else []

    @cached_property
    def detectors(self) -> list[detection_grouping.Setting]:
        """The detectors that are comparable with each other."""
        if not self.detections:
            return []
        return detection_grouping.group_runs(detection_runs.runs_of(self.detections))


def read_evidence(paths: Sequence[str | Path]) -> Evidence:
    """Read the records at and below paths.

    Left out, and named: folders without a record, runs whose figure is undefined, detectors that
    are not those of the end of their training, backbones of unknown eps, kinds that no question is
    about, and evaluations in a run's folder that were not named.

    Raises:
        UserError: a record cannot be read, contradicts another one, or there is none.
    """
    found = find_records(paths)
    missing = () if found.records else tuple(path / RECORD_NAME for path in found.without)
    records = load_records(found.records or missing)
    left_out = _Reasons()
    for folder in found.without:
        left_out.add("no run record (a run writes it when it ends)", folder)
    for path in found.deeper:
        left_out.add("an evaluation in a run's folder, which counts where it is named", path.parent)
    transfers, textured = _Files[TransferRecord](), _Files[TransferRecord]()
    detections = _Files[DetectionRecord]()
    pretrainings = _Files[PretrainRecord]()
    evaluations = _Files[ClassifierEvaluationRecord]()
    for path, record in records:
        if isinstance(record, PretrainRecord):
            pretrainings.append((path, record))
        elif isinstance(record, ClassifierEvaluationRecord):
            evaluations.append((path, record))
        elif isinstance(record, TransferRecord):
            if record.metrics.get(record.data.headline, 0.0) is None:
                left_out.add(f"an undefined {record.data.headline}", path.parent)
            elif texture_training(record):
                textured.append((path, record))
            elif record.eps is None:
                left_out.add("a backbone of unknown eps", path.parent)
            else:
                transfers.append((path, record))
        elif isinstance(record, DetectionRecord):
            if reason := _against(record):
                left_out.add(reason, path.parent)
            else:
                detections.append((path, record))
        else:
            left_out.add(f"kind {record.kind()}, which no question is about", path.parent)
    _refuse_contradictions([*transfers, *textured, *detections], pretrainings)
    told = [*left_out.told(), *_under_two_names([*transfers, *textured, *detections])]
    return Evidence(transfers, textured, detections, pretrainings, evaluations, told)


class _Reasons:
    """What is left out, by the reason."""

    def __init__(self) -> None:
        self._by_reason: dict[str, list[Path]] = {}

    def add(self, reason: str, path: Path) -> None:
        """Leave a run out."""
        self._by_reason.setdefault(reason, []).append(path)

    def told(self) -> list[str]:
        """Return a sentence a reason."""
        return [
            f"Left out, having {reason}: {', '.join(map(str, paths))}."
            for reason, paths in self._by_reason.items()
        ]


def _against(record: DetectionRecord) -> str:
    """Return why a detector does not count; empty if it does."""
    if record.eps is None:
        return "no eps (started from no backbone, or one of unknown eps)"
    if texture_training(record):
        return "a backbone of Stylized-ImageNet, which counts in transfers alone"
    if record.init_detector is not None:
        return "started from a trained detector"
    detector = record.detector
    if detector is not None and detector.best_by:
        return "been chosen among a run's evaluations by its figure on the test images"
    if detector is not None and detector.unfinished:
        return "been evaluated before the end of its training"
    headlines = [
        values.get(task_of(task).headline, math.nan) for task, values in record.metrics.items()
    ]
    if headlines and all(value is None for value in headlines):
        return "undefined figures alone"
    return ""


def _refuse_contradictions(
    runs: Sequence[tuple[Path, TransferRecord | DetectionRecord]],
    pretrainings: Sequence[tuple[Path, PretrainRecord]],
) -> None:
    """Refuse records that cannot all be true."""
    seeds: dict[str, tuple[Path, PretrainRecord]] = {}
    for path, record in pretrainings:
        first_path, first = seeds.setdefault(record.weights.sha256, (path, record))
        if (first.seed, first.eps) != (record.seed, record.eps):
            raise UserError(
                f"{first_path} and {path} are two pretraining runs (seeds {first.seed} and"
                f" {record.seed}, eps {first.eps:g} and {record.eps:g}) with one hash of their"
                " weights: one of the records is of other weights; leave it out"
            )
    backbones: dict[str, tuple[Path, TransferRecord | DetectionRecord]] = {}
    for path, run in runs:
        if not run.weights.origin:
            continue
        first_path, one = backbones.setdefault(run.weights.origin, (path, run))
        if (one.arch, one.eps) != (run.arch, run.eps) or (run.eps and one.norm != run.norm):
            raise UserError(
                f"{first_path} and {path} have one backbone by its hash, and say that it is"
                f" {_backbone(one)} and {_backbone(run)}: one of the records is wrong; leave it out"
            )


def _under_two_names(
    runs: Sequence[tuple[Path, TransferRecord | DetectionRecord]],
) -> list[str]:
    """Say which backbones are one network under several names: one pretraining run, not two."""
    names: dict[str, dict[str, None]] = {}
    for _, run in runs:
        if run.weights.sha256:
            names.setdefault(run.weights.sha256, {})[run.weights.path] = None
    return [
        f"{', '.join(paths)} are one network by their hash, and count as one pretraining run."
        for paths in names.values()
        if len(paths) > 1
    ]


def _backbone(run: TransferRecord | DetectionRecord) -> str:
    eps = "unknown" if run.eps is None else f"{run.eps:g}"
    return " ".join(filter(None, (run.arch, run.norm, f"eps {eps}")))
