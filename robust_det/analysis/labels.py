"""How the facts of records are written for people."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec

from robust_det.analysis.runs import Conditions
from robust_det.records.detection import DataSet, Evaluator

__all__ = ["condition_labels", "evaluator_names", "libraries"]


def evaluator_names(evaluators: Sequence[Evaluator]) -> str:
    """The rules by which the test sets were scored."""
    return " + ".join(e.name for e in evaluators)


def libraries(evaluators: Sequence[Evaluator]) -> str:
    """The libraries that applied them, with their versions."""
    return " + ".join(f"{e.library} {e.version}" for e in evaluators)


def condition_labels(conditions: Conditions) -> dict[str, Any]:
    """Return each condition by its name in a list of differences.

    Those of data are called ``test data: images``, with numbers if there are several sets.
    """
    labels: dict[str, Any] = {}
    for part, sets in (("train data", conditions.train), ("test data", conditions.test)):
        for number, one in enumerate(sets, start=1):
            labels |= _of_data(part if len(sets) == 1 else f"{part} {number}", one)
    labels["evaluator"] = evaluator_names(conditions.evaluators)
    labels["evaluator library"] = libraries(conditions.evaluators)
    labels["detector"] = conditions.detector or "at the end of its training"
    labels["started from"] = conditions.init or "a backbone"
    if conditions.changes:
        labels["changes"] = "; ".join(
            f"{one.key} {one.before} to {one.after} at step {one.step}"
            for one in conditions.changes
        )
    return labels | dict(conditions.config)


def _of_data(label: str, one: DataSet) -> dict[str, Any]:
    facts: dict[str, Any] = msgspec.to_builtins(one)
    return {f"{label}: {name}": value for name, value in facts.items()}
