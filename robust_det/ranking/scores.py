"""What the features of one backbone are worth: ridge accuracies, and LogME."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from robust_det.core.resampling import resamples_of
from robust_det.probes import Ridge, evidence
from robust_det.ranking.task import MEAN_PER_CLASS, TOP1, Task

__all__ = ["LOGME", "METRICS", "Figures", "Score", "figures_of", "score"]

LOGME = "logme"
METRICS = (MEAN_PER_CLASS, TOP1, LOGME)
# shares of the features' largest variance, summed over the examples
_SHARES = tuple(10.0 ** (exponent / 2) for exponent in range(-14, 3))
_AT_ONCE = 50  # resamples

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Score:
    """What the features of a backbone tell.

    Attributes:
        penalty: of the ridge, as a share of the features' largest variance.
        at_edge: whether it is the largest or smallest of those tried.
        hits: (N,) whether each example is predicted its class by a fit without its group.
        logme: see :func:`robust_det.probes.logme`.
        influence: (G,) by how much that changes with the weight of each group.
    """

    penalty: float
    at_edge: bool
    hits: NDArray[np.bool_]
    logme: float
    influence: Floats


@dataclass(frozen=True)
class Figures:
    """Each metric of :data:`METRICS` by name: of the data as they are, and resampled, (R,)."""

    values: dict[str, float]
    resampled: dict[str, Floats]


def score(features: torch.Tensor, task: Task) -> Score:
    """Score features by ridge regression and by LogME.

    Of the penalties, 17 from 1e-7 to 10 times the largest variance, the one of the best accuracy is
    taken, of equals the largest. That accuracy is the best of several, and so a little too high,
    for all backbones alike.

    Args:
        features: (N, D).
        task: theirs.

    Raises:
        UserError: no feature varies, or some are not finite.
    """
    classes = len(task.classes)
    ridge = Ridge.of(features, task.labels, classes)
    largest = float(ridge.spectrum.variances[0]) * len(features)
    predicted = ridge.left_out_together([share * largest for share in _SHARES], task.groups)
    all_hits = [(each == task.labels).numpy() for each in predicted]
    reached = [_accuracies(hits, task)[task.headline] for hits in all_hits]
    best = max(range(len(_SHARES)), key=lambda i: (reached[i], i))
    found = evidence(features, task.labels, classes)
    influence = torch.zeros(task.group_count, dtype=torch.float64)
    influence.index_add_(0, task.groups, found.influence)
    at_edge = best in (0, len(_SHARES) - 1)
    return Score(_SHARES[best], at_edge, all_hits[best], found.value, influence.numpy())


def figures_of(score: Score, task: Task, resamples: int, seed: int) -> Figures:
    """Return the metrics, and what they are in resamples of the groups.

    Whatever features are scored, the same groups are drawn, so that differences are paired. The
    fits stay those of all examples. Accuracies are in percent; the per-class mean of a resample is
    over the classes in it.

    Args:
        score: of a backbone.
        task: theirs.
        resamples, seed: of the bootstrap.
    """
    hits, counts = _by_group(score.hits, task)
    parts: list[tuple[Floats, Floats, Floats]] = []
    draws = list(resamples_of(task.group_count, resamples, seed))
    for start in range(0, resamples, _AT_ONCE):
        weights = np.array(
            [np.bincount(d, minlength=task.group_count) for d in draws[start : start + _AT_ONCE]],
            dtype=np.float64,
        )
        per_class, top1 = _rates(weights @ hits, weights @ counts)
        parts.append((per_class, top1, score.logme + (weights - 1) @ score.influence))
    stacked = [np.concatenate(part) for part in zip(*parts, strict=True)]
    values = {**_accuracies(score.hits, task), LOGME: score.logme}
    return Figures(values, dict(zip(METRICS, stacked, strict=True)))


def _accuracies(hits: NDArray[np.bool_], task: Task) -> dict[str, float]:
    found, counts = (each.sum(0, keepdims=True) for each in _by_group(hits, task))
    per_class, top1 = _rates(found, counts)
    return {MEAN_PER_CLASS: float(per_class[0]), TOP1: float(top1[0])}


def _by_group(hits: NDArray[np.bool_], task: Task) -> tuple[Floats, Floats]:
    """Return how many examples each group has of each class, (G, K), hit and in all."""
    groups, classes = task.group_count, len(task.classes)
    cells = (task.groups * classes + task.labels).numpy()
    both = [np.bincount(cells, w, minlength=groups * classes) for w in (hits, None)]
    found, counts = (each.reshape(groups, classes).astype(np.float64) for each in both)
    return found, counts


def _rates(hits: Floats, counts: Floats) -> tuple[Floats, Floats]:
    """Return the per-class mean and the top-1 accuracy, (R,) in percent, of counts (R, K)."""
    there = counts > 0
    rates = np.divide(hits, counts, out=np.zeros_like(hits), where=there)
    return 100 * rates.sum(1) / there.sum(1), 100 * hits.sum(1) / counts.sum(1)
