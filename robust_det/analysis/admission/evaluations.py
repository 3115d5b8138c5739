"""Runs that were evaluated otherwise than others of their training."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from robust_det.analysis.admission.causes import LeftOut
from robust_det.analysis.admission.terms import ATTACKED, terms_of
from robust_det.analysis.differences import as_key, condition_differences
from robust_det.core.errors import counted
from robust_det.records.base import Record

__all__ = ["other_evaluations"]

_MOST = 3  # differences that are named


@dataclass(frozen=True)
class _One:
    path: Path
    run: tuple[str, int]  # weights and seed
    facts: Mapping[str, Any]
    key: bytes


def other_evaluations(records: Sequence[tuple[Path, Record]]) -> Iterator[LeftOut]:
    """Yield the runs, or their figures under attack, that were evaluated otherwise than most of
    their training, backbone, norm and eps.

    A run that was evaluated as most were *as well* is in the mean by that, and its other evaluation
    is not missing from it.
    """
    clean: dict[bytes, list[_One]] = {}
    attacked: dict[bytes, list[_One]] = {}
    for path, record in records:
        terms = terms_of(record)
        run = (record.weights.origin, record.seed)
        norm = record.norm if record.eps else ""
        subject = [record.kind(), record.arch, norm, record.eps, terms.training]
        own = _One(path, run, terms.evaluation, as_key(terms.evaluation))
        clean.setdefault(as_key(subject), []).append(own)
        if terms.attack:
            attack = _One(path, run, terms.attack, as_key(terms.attack))
            attacked.setdefault(as_key([subject, terms.evaluation]), []).append(attack)
    for group in clean.values():
        yield from _minority(group, "")
    for group in attacked.values():
        yield from _minority(group, ATTACKED)


def _minority(group: Sequence[_One], figure: str) -> Iterator[LeftOut]:
    numbers = Counter(one.key for one in group)
    if len(numbers) == 1:
        return
    most, number = numbers.most_common(1)[0]  # of as many, the first
    first = next(one for one in group if one.key == most)
    there = {one.run for one in group if one.key == most}
    for one in group:
        if one.key == most or one.run in there:
            continue
        found = condition_differences(one.facts, first.facts)
        said = ", ".join(f"{key} {a}, not {b}" for key, a, b in found[:_MOST])
        more = f" and {counted(len(found) - _MOST, 'more')}" if len(found) > _MOST else ""
        others = f"{counted(number, 'run')} such as {first.path}"
        yield LeftOut(one.path, "evaluation", f"{said}{more}, as in {others}", figure)
