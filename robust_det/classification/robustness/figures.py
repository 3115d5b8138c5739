"""From what became of images to accuracies."""

from __future__ import annotations

from collections.abc import Sequence

from robust_det.attacks.budgets import Budget
from robust_det.classification.measure import wilson_interval
from robust_det.classification.robustness.fates import STANDING, Fate
from robust_det.records.robustness import RobustAccuracy

__all__ = ["clean_metrics", "correct_of", "interval", "robust_accuracies", "telling_eps"]


def correct_of(fates: Sequence[Fate], targets: Sequence[int]) -> int:
    """Return how many images are classified right as they are."""
    return sum(fate.prediction == y for fate, y in zip(fates, targets, strict=True))


def clean_metrics(fates: Sequence[Fate], targets: Sequence[int]) -> dict[str, float | None]:
    """Return ``clean_top1``, and ``clean_top5`` of five classes or more, in percent."""
    share = 100 * correct_of(fates, targets) / len(fates)
    metrics: dict[str, float | None] = {"clean_top1": share}
    if fates[0].top5 is not None:
        metrics["clean_top5"] = 100 * sum(bool(fate.top5) for fate in fates) / len(fates)
    return metrics


def robust_accuracies(
    fates: Sequence[Fate], correct: int, budgets: Sequence[tuple[float, Budget]]
) -> list[RobustAccuracy]:
    """Count what was left at each eps.

    Args:
        fates: of the images; at least one.
        correct: how many are classified right as they are.
        budgets: the attacks, by rising eps.
    """
    found = []
    for place, (eps, budget) in enumerate(budgets):
        now = [fate.fell[place] for fate in fates]
        felled = {member.name: now.count(member.name) for member in budget.members}
        standing = now.count(STANDING)
        low, high = interval(standing, len(fates))
        earlier = correct - standing - sum(felled.values())
        share = 100 * standing / len(fates)
        found.append(RobustAccuracy(eps, earlier, felled, standing, share, low, high))
    return found


def telling_eps(robust: Sequence[RobustAccuracy], correct: int) -> float:
    """Return the eps that fells nearest to half of the images: where all or none stand, a check
    tells nothing.

    Args:
        robust: what was left at each; at least one.
        correct: how many images are classified right as they are.
    """
    return min(robust, key=lambda one: (abs(2 * one.standing - correct), one.eps)).eps


def interval(count: int, of: int) -> tuple[float, float]:
    """Return the 95% score interval of a share of images, in percent."""
    low, high = wilson_interval(count / of, of)
    # which rounding misses
    return 0.0 if count == 0 else 100 * low, 100.0 if count == of else 100 * high
