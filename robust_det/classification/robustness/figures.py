"""From what became of images to accuracies."""

from __future__ import annotations

from collections.abc import Sequence

from robust_det.attacks.budgets import Budget
from robust_det.classification.measure import wilson_interval
from robust_det.classification.per_class.table import ClassRow, ClassTable
from robust_det.classification.robustness.asked import Asked
from robust_det.classification.robustness.fates import STANDING, Fate
from robust_det.records.robustness import RobustAccuracy

__all__ = [
    "class_table",
    "clean_metrics",
    "correct_of",
    "interval",
    "robust_accuracies",
    "telling_eps",
]


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


def class_table(
    fates: Sequence[Fate], targets: Sequence[int], folders: Sequence[str], asked: Asked
) -> ClassTable:
    """Count what was left of each class.

    Args:
        fates: of the images.
        targets, folders: their classes, and the folders of these.
        asked: norm and eps.
    """
    of_class: dict[int, list[Fate]] = {}
    for fate, target in zip(fates, targets, strict=True):
        of_class.setdefault(target, []).append(fate)
    names = dict(zip(targets, folders, strict=True))
    rows = [
        ClassRow(
            names[target],
            len(own),
            sum(fate.prediction == target for fate in own),
            len(own) if asked.radii else 0,
            tuple(sum(f.fell[place] == STANDING for f in own) for place in range(len(asked.radii))),
        )
        for target, own in sorted(of_class.items())
    ]
    return ClassTable(rows, asked.norm, asked.radii)


def robust_accuracies(
    fates: Sequence[Fate],
    correct: int,
    budgets: Sequence[tuple[float, Budget]],
    classes: ClassTable | None = None,
) -> list[RobustAccuracy]:
    """Count what was left at each eps.

    Args:
        fates: of the images; at least one.
        correct: how many are classified right as they are.
        budgets: the attacks, by rising eps.
        classes: the same by class, for means over these where they have not as many images each.
    """
    means: Sequence[float | None] = [None] * (1 + len(budgets))
    if classes is not None and not classes.balanced:
        means = classes.means()
    found = []
    for place, (eps, budget) in enumerate(budgets):
        now = [fate.fell[place] for fate in fates]
        felled = {member.name: now.count(member.name) for member in budget.members}
        standing = now.count(STANDING)
        low, high = interval(standing, len(fates))
        earlier = correct - standing - sum(felled.values())
        share = 100 * standing / len(fates)
        mean = means[1 + place]
        found.append(RobustAccuracy(eps, earlier, felled, standing, share, low, high, mean))
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
