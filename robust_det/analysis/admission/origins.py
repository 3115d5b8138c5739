"""Weights that are said to be two things."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from robust_det.analysis.admission.causes import LeftOut
from robust_det.core.epsilon import eps_label
from robust_det.records.base import Record
from robust_det.records.pretrain import PretrainRecord

__all__ = ["contradictions", "shared_weights"]

_Pairs = Sequence[tuple[Path, Record]]


def shared_weights(records: _Pairs) -> Iterator[LeftOut]:
    """Yield the pretraining runs whose weights are those of a run before, by their hash: two seeds
    with one file are one pretraining."""
    firsts: dict[str, tuple[Path, int]] = {}
    for path, record in records:
        if not isinstance(record, PretrainRecord) or not record.weights.sha256:
            continue
        first, seed = firsts.setdefault(record.weights.sha256, (path, record.seed))
        if first is path:
            continue
        seeds = f"seeds {seed} and {record.seed}" if seed != record.seed else f"seed {seed}"
        digest = record.weights.sha256[:8]
        yield LeftOut(path, "one hash", f"its weights ({digest}) are those of {first}: {seeds}")


def contradictions(records: _Pairs) -> Iterator[LeftOut]:
    """Yield the records of weights that are of two architectures, norms or eps by the records.

    Which of them is right is not known.
    """
    by_origin: dict[str, dict[tuple[Any, ...], Path]] = {}
    for path, record in records:
        if record.weights.origin and record.eps is not None:
            by_origin.setdefault(record.weights.origin, {}).setdefault(_facts(record), path)
    for path, record in records:
        facts = by_origin.get(record.weights.origin, {})
        if record.eps is None or len(facts) < 2:
            continue
        other, where = next(pair for pair in facts.items() if pair[0] != _facts(record))
        said, digest = _words(_facts(record)), record.weights.origin[:8]
        why = f"its weights ({digest}) are {said} here and {_words(other)} in {where}"
        yield LeftOut(path, "contradiction", why)


def _facts(record: Record) -> tuple[Any, ...]:
    return record.arch, record.norm if record.eps else "", record.eps


def _words(facts: tuple[Any, ...]) -> str:
    arch, norm, eps = facts
    return f"{arch} {eps_label(norm, eps)}"
