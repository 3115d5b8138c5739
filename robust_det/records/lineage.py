"""Where a run's weights come from and where they went, by SHA-256 among records."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from robust_det.records.base import Record
from robust_det.records.detection import DetectionRecord
from robust_det.records.pretrain import ClassifierEvaluationRecord, PretrainRecord
from robust_det.records.robustness import RobustnessRecord
from robust_det.records.transfer import TransferRecord

__all__ = ["Lineage", "Link", "made_by", "made_from"]


@dataclass(frozen=True)
class Link:
    """A step from one run to another.

    Attributes:
        parent, child: places of the records among those given.
        how: ``fine-tuned``, ``transferred``, ``went on``, ``evaluated``, or ``again``: a later
            record of the file that the parent left.
        converted: SHA-256 of the conversion between them; empty if there was none.
    """

    parent: int
    child: int
    how: str
    converted: str = ""


def made_by(record: Record) -> str:
    """Return the SHA-256 of the file that a run left for others; empty if it left none, as an
    evaluation."""
    if isinstance(record, PretrainRecord):
        return record.weights.sha256
    if isinstance(record, DetectionRecord):
        return record.detector.sha256 if record.detector else ""
    if isinstance(record, TransferRecord):
        return record.classifier.sha256 if record.classifier else ""
    return ""


def made_from(record: Record) -> Iterator[tuple[str, str, str]]:
    """Yield what a run started from, or evaluated: SHA-256, how, and that of a conversion."""
    weights = record.weights
    if isinstance(record, PretrainRecord):
        if record.started_from is not None:
            yield record.started_from.sha256, "went on", ""
        return
    if isinstance(record, (ClassifierEvaluationRecord, RobustnessRecord)):
        yield weights.origin, "evaluated", weights.sha256 if weights.source_sha256 else ""
        return
    if isinstance(record, DetectionRecord) and record.init_detector is not None:
        yield record.init_detector.sha256, "went on", ""
    how = "transferred" if isinstance(record, TransferRecord) else "fine-tuned"
    yield weights.origin, how, weights.sha256 if weights.source_sha256 else ""


class Lineage:
    """The steps between records.

    Where several records left one file, as a run and its later evaluations, the one of the longest
    wall time is the run.

    Args:
        records: each with its file.

    Attributes:
        links: between them.
    """

    def __init__(self, records: Sequence[tuple[Path, Record]]) -> None:
        self.records = records
        makers: dict[str, int] = {}
        for number, (_, record) in enumerate(records):
            product = made_by(record)
            if not product:
                continue
            before = makers.setdefault(product, number)
            if record.wall_time_s > records[before][1].wall_time_s:
                makers[product] = number
        self.links = list(dict.fromkeys(self._links(makers)))
        self._parents: dict[int, list[Link]] = {}
        self._children: dict[int, list[Link]] = {}
        for link in self.links:
            self._parents.setdefault(link.child, []).append(link)
            self._children.setdefault(link.parent, []).append(link)

    def _links(self, makers: dict[str, int]) -> Iterator[Link]:
        for number, (_, record) in enumerate(self.records):
            maker = makers.get(made_by(record), number)
            if maker != number:
                yield Link(maker, number, "again")
                continue
            for sha256, how, converted in made_from(record):
                parent = makers.get(sha256, number)
                if parent != number:
                    yield Link(parent, number, how, converted)

    def parents(self, number: int) -> list[Link]:
        """The steps that led to a record."""
        return self._parents.get(number, [])

    def children(self, number: int) -> list[Link]:
        """The steps that led on from it."""
        return self._children.get(number, [])
