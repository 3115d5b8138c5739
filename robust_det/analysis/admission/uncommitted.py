"""Runs of code that nobody can look up."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from robust_det.analysis.admission.causes import LeftOut
from robust_det.analysis.admission.terms import terms_of
from robust_det.analysis.differences import as_key
from robust_det.records.base import Record

__all__ = ["modified_beside_committed", "modified_throughout"]

_Pairs = Sequence[tuple[Path, Record]]


def modified_beside_committed(records: _Pairs) -> Iterator[LeftOut]:
    """Yield the runs of modified code in whose setting there are runs of committed code."""
    if not any(record.environment.modified for _, record in records):
        return
    committed: dict[bytes, Path] = {}
    for path, record in records:
        if not record.environment.modified:
            committed.setdefault(_setting(record), path)
    for path, record in records:
        if record.environment.modified and (other := committed.get(_setting(record))):
            code = f"commit {record.environment.commit or 'unknown'} with uncommitted changes"
            yield LeftOut(path, "modified", f"its code is {code}, that of {other} is committed")


def modified_throughout(records: _Pairs) -> Iterator[LeftOut]:
    """Yield the runs of modified code, of which what they are compared with is as well."""
    for path, record in records:
        if record.environment.modified:
            why = "its code had uncommitted changes, as has all that it is compared with"
            yield LeftOut(path, "modified", why)


def _setting(record: Record) -> bytes:
    terms = terms_of(record)
    return as_key([record.kind(), terms.training, terms.evaluation])
