"""The questions of Salman et al. 2020, each answered from records or from what was reported."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from robust_det.analysis.questions import (
    accuracy_vs_transfer,
    eps,
    fixed_feature,
    full_network,
    granularity,
    texture,
    width,
)
from robust_det.analysis.questions.answer import Answer
from robust_det.analysis.questions.evidence import Evidence

__all__ = ["QUESTIONS", "Question"]


@dataclass(frozen=True)
class Question:
    """A question.

    Attributes:
        asks: in words.
        of_runs: answers it from records.
        of_reported: answers it from the shipped tables; None where these have nothing of it.
    """

    asks: str
    of_runs: Callable[[Evidence], Answer]
    of_reported: Callable[[], Answer] | None = None


QUESTIONS: Mapping[str, Question] = {
    module.NAME: Question(module.ASKS, module.of_runs, module.of_reported)
    for module in (
        fixed_feature,
        full_network,
        eps,
        width,
        granularity,
        texture,
        accuracy_vs_transfer,
    )
}
