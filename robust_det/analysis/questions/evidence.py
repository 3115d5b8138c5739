"""The records that questions are asked of, and what of them does not count."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from types import MappingProxyType
from typing import TypeVar

from robust_det.analysis import grouping as detection_grouping
from robust_det.analysis import runs as detection_runs
from robust_det.analysis.admission import LeftOut, admit
from robust_det.analysis.questions.cells import Pretraining
from robust_det.analysis.texture_trained import texture_training
from robust_det.analysis.transfer import grouping as transfer_grouping
from robust_det.analysis.transfer import runs as transfer_runs
from robust_det.analysis.ways import Ways
from robust_det.core.epsilon import eps_label
from robust_det.core.errors import UserError, counted
from robust_det.records import RECORD_NAME, Record
from robust_det.records.detection import DetectionRecord
from robust_det.records.pretrain import ClassifierEvaluationRecord, PretrainRecord
from robust_det.records.store import find_records, load_records
from robust_det.records.transfer import TransferRecord
from robust_det.records.unfinished import unfinished_runs

__all__ = ["Evidence", "evidence_of", "read_evidence"]

R = TypeVar("R", bound=Record)
_Files = list[tuple[Path, R]]
_MOST = 20  # left out, which are named


@dataclass(frozen=True)
class Evidence:
    """Records by kind, each with its file.

    Attributes:
        transfers, detections: of standard and robust backbones of known eps.
        textured: transfers of backbones that were trained on Stylized-ImageNet.
        pretrainings, evaluations: of the backbones.
        left_out: what did not count and why, in sentences.
        causes: of records that may not enter a mean, each with how many there are, in words; empty
            if there are none.
        aside: why others do not count, in the same way.
        figures_left_out: of records that do count, by file and name.
    """

    transfers: Sequence[tuple[Path, TransferRecord]] = ()
    textured: Sequence[tuple[Path, TransferRecord]] = ()
    detections: Sequence[tuple[Path, DetectionRecord]] = ()
    pretrainings: Sequence[tuple[Path, PretrainRecord]] = ()
    evaluations: Sequence[tuple[Path, ClassifierEvaluationRecord]] = ()
    left_out: Sequence[str] = ()
    causes: str = ""
    aside: str = ""
    figures_left_out: frozenset[tuple[Path, str]] = frozenset()

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
    """Read the records at and below paths, of which those count that may enter a mean (see
    :func:`.admit`) and that a question is about.

    Left out, and named: what may not, runs without a record, backbones of unknown eps, detectors
    that were chosen on test images or started from a detector, kinds that no question is about, and
    evaluations in a run's folder that were not named.

    Raises:
        UserError: a record cannot be read, there is none, or none may enter a mean.
    """
    found = find_records(paths)
    missing = () if found.records else tuple(path / RECORD_NAME for path in found.without)
    records = load_records(found.records or missing)
    unfinished = dict(unfinished_runs(path for path in paths if Path(path).is_dir()))
    return evidence_of(records, unfinished, found.without, found.deeper)


def evidence_of(
    records: Sequence[tuple[Path, Record]],
    unfinished: Mapping[Path, str] = MappingProxyType({}),
    without: Sequence[Path] = (),
    deeper: Sequence[Path] = (),
) -> Evidence:
    """Return what records say, see :func:`read_evidence`.

    Args:
        records: each with its file.
        unfinished: folders of runs without a record, and why.
        without, deeper: see :class:`.Found`.

    Raises:
        UserError: none may enter a mean.
    """
    if not records:
        raise UserError("no run may enter a mean", "robust-det records check says why")
    admission = admit(records)
    refused = [LeftOut(path, "interrupted", why) for path, why in unfinished.items()]
    refused += admission.left_out
    causes = _causes(refused)
    if not admission.records:
        raise UserError(
            f"none of {counted(len(records), 'record')} may enter a mean ({causes}):"
            f" {admission.left_out[0].path}: {admission.left_out[0].why}",
            "robust-det records check says it of each",
        )
    figures = frozenset((one.path, one.figure) for one in admission.left_out if one.figure)
    transfers, textured = _Files[TransferRecord](), _Files[TransferRecord]()
    detections = _Files[DetectionRecord]()
    pretrainings = _Files[PretrainRecord]()
    evaluations = _Files[ClassifierEvaluationRecord]()
    aside = _Reasons()
    for path, record in admission.records:
        if isinstance(record, PretrainRecord):
            pretrainings.append((path, record))
        elif isinstance(record, ClassifierEvaluationRecord):
            evaluations.append((path, record))
        elif isinstance(record, TransferRecord):
            if (path, record.data.headline) in figures:
                continue
            if texture_training(record):
                textured.append((path, record))
            elif record.eps is None:
                aside.add("a backbone of unknown eps", path.parent)
            else:
                transfers.append((path, record))
        elif isinstance(record, DetectionRecord):
            if reason := _against(record):
                aside.add(reason, path.parent)
            else:
                detections.append((path, record))
    for path in without:
        if path not in unfinished:
            aside.add("no run record (a run writes it when it ends)", path)
    for path in deeper:
        aside.add("an evaluation in a run's folder, which counts where it is named", path.parent)
    told = [
        *_named(refused),
        *aside.told(),
        *_of_no_question([record for _, record in admission.records]),
        *_doubts(admission.doubts),
        *_under_two_names([*transfers, *textured, *detections]),
        *_in_several_ways(pretrainings, [*transfers, *detections]),
    ]
    return Evidence(
        transfers,
        textured,
        detections,
        pretrainings,
        evaluations,
        told,
        causes,
        aside.numbers(),
        figures,
    )


def _causes(refused: Sequence[LeftOut]) -> str:
    """``2 by copy, 1 by contradiction``."""
    numbers = Counter(one.cause for one in refused)
    return ", ".join(f"{number} by {cause}" for cause, number in numbers.most_common())


def _named(refused: Sequence[LeftOut]) -> Iterator[str]:
    """Yield a sentence each of what may not enter a mean."""
    for one in refused[:_MOST]:
        figure = f" {one.figure}:" if one.figure else ""
        yield f"Left out, {one.cause}: {one.path}:{figure} {one.why}."
    if more := refused[_MOST:]:
        yield f"Left out, {len(more)} more ({_causes(more)}): robust-det records check names them."


def _of_no_question(records: Sequence[Record]) -> Iterator[str]:
    """Say which kinds no question is about: they are not missing from any answer."""
    asked = (PretrainRecord, ClassifierEvaluationRecord, TransferRecord, DetectionRecord)
    numbers = Counter(one.kind() for one in records if not isinstance(one, asked))
    for kind, number in numbers.items():
        yield f"Left aside, as no question is about kind {kind}: {counted(number, 'record')}."


def _doubts(doubts: Sequence[LeftOut]) -> Iterator[str]:
    if doubts:
        first = doubts[0]
        yield f"In doubt, {counted(len(doubts), 'run')} that count, as {first.path}: {first.why}."


class _Reasons:
    """What no question is about, by the reason."""

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

    def numbers(self) -> str:
        """``2 having a backbone of unknown eps``."""
        return ", ".join(
            f"{len(paths)} having {reason}" for reason, paths in self._by_reason.items()
        )


def _against(record: DetectionRecord) -> str:
    """Return why no question is about a detector; empty if one is."""
    if texture_training(record):
        return "a backbone of Stylized-ImageNet, which counts in transfers alone"
    if record.init_detector is not None:
        return "started from a trained detector"
    if record.detector is not None and record.detector.best_by:
        return "been chosen among a run's evaluations by its figure on the test images"
    return ""


def _in_several_ways(
    pretrainings: Sequence[tuple[Path, PretrainRecord]],
    runs: Sequence[tuple[Path, TransferRecord | DetectionRecord]],
) -> Iterator[str]:
    """Say which backbones count as one kind, though they were pretrained in several ways."""
    records = [record for _, record in runs]
    ways = Ways([*(record for _, record in pretrainings), *records])
    found: dict[str, dict[str, None]] = {}
    for record in records:
        if words := ways.words(ways.of(record), ()):
            kind = f"{record.arch} {eps_label(record.norm, record.eps)}"
            found.setdefault(kind, {})[words] = None
    for kind, several in found.items():
        yield (
            f"In doubt: backbones of {kind} were pretrained in several ways ({'; '.join(several)}),"
            " and are in one mean; ask of each by giving its runs alone."
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
