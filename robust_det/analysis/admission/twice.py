"""Runs that would count twice."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import msgspec

from robust_det.analysis.admission.causes import LeftOut
from robust_det.analysis.differences import as_key
from robust_det.analysis.grouping import repeats_of as repeated_detectors
from robust_det.analysis.runs import runs_of as detector_runs
from robust_det.analysis.transfer.grouping import repeats_of as repeated_transfers
from robust_det.analysis.transfer.runs import runs_of as transfer_runs
from robust_det.records.base import Record
from robust_det.records.detection import DetectionRecord
from robust_det.records.transfer import TransferRecord

__all__ = ["copies", "repeats"]

_Pairs = Sequence[tuple[Path, Record]]


def copies(records: _Pairs) -> Iterator[LeftOut]:
    """Yield the records that say, to the last digit, what an earlier one says."""
    suspects: dict[tuple[Any, ...], list[tuple[Path, Record]]] = {}
    for path, record in records:
        made = record.environment
        key = (record.kind(), record.name, record.seed, record.wall_time_s, made.created)
        suspects.setdefault(key, []).append((path, record))
    for alike in suspects.values():
        if len(alike) == 1:
            continue
        firsts: dict[bytes, Path] = {}
        for path, record in alike:
            first = firsts.setdefault(_content(record), path)
            if first is not path:
                yield LeftOut(path, "copy", f"it is a copy of {first}")


def _content(record: Record) -> bytes:
    """All of a record, whatever the layout of its config's text."""
    facts: dict[str, Any] = msgspec.structs.asdict(record)
    return as_key({**facts, "raw_config": record.config})


def repeats(records: _Pairs) -> Iterator[LeftOut]:
    """Yield the runs that comparison takes for an earlier one."""
    detectors = [(path, one) for path, one in records if isinstance(one, DetectionRecord)]
    if detectors:
        runs = detector_runs(detectors)
        for number, repeat in repeated_detectors(runs).items():
            what = "it is of the same detector as"
            if not repeat.same_detector:
                what = f"it has setting, weights and seed {runs[number].seed} of"
            yield LeftOut(runs[number].path, "repeat", f"{what} {repeat.first.path}")
    transfers = [(path, one) for path, one in records if isinstance(one, TransferRecord)]
    found = transfer_runs(transfers)
    for number, other in repeated_transfers(found).items():
        why = f"it has weights, seed and config of {other.first.path}"
        if not other.same:
            why += ", with other figures"
        # of a run that counts under its attack, the clean figures are left out
        for figure in found[number].figures if other.other_attack else [""]:
            yield LeftOut(found[number].path, "repeat", why, figure)
