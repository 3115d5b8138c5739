"""COCO's average precision of many weightings of the same images, without matching again.

A resample of images with replacement gives each image a weight: how often it was drawn. The
detections of a class are sorted once. In a resample, the weighted cumulative sums of those that
count and of those that hit are exactly the counts that COCO would reach on a data set in which
images are repeated; the order within equal scores is by image, and the copies of a detection stand
side by side. Only where a hit is does the recall rise, and only there can the best precision from
some recall on be attained, so the curves are needed at the hits alone.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from robust_det.analysis.significance.matching import AREAS, THRESHOLDS, ClassMatches, Matches

__all__ = ["METRICS", "average_precisions", "class_changes", "metrics"]

_RECALLS = np.linspace(0.0, 1.0, 101)
_BLOCK = 128  # resamples at once: the arrays of a class then fit the cache
# name -> (area, IoU threshold or None for the mean over all), as Detectron2 names them
METRICS: dict[str, tuple[int, int | None]] = {
    "AP": (0, None),
    "AP50": (0, 0),
    "AP75": (0, 5),
    "APs": (1, None),
    "APm": (2, None),
    "APl": (3, None),
}


def average_precisions(
    matches: Matches,
    weights: NDArray[np.int32],
    advance: Callable[[], object] = lambda: None,
) -> NDArray[np.float64]:
    """Return the average precision of every class, range of areas and IoU threshold.

    Args:
        matches: of C classes and I images.
        weights: how often each image counts, of shape (R, I).
        advance: is called when a class is done.

    Returns:
        In [0, 1], of shape (R, C, areas, thresholds); NaN where there is no object to find.
    """

    def of_class(one: ClassMatches) -> NDArray[np.float64]:
        blocks = range(0, len(weights), _BLOCK)
        out = np.concatenate([_of_class(one, weights[b : b + _BLOCK]) for b in blocks])
        advance()
        return out

    return np.stack([of_class(one) for one in matches.classes], axis=1)


def metrics(matches: Matches, precisions: NDArray[np.float64]) -> dict[str, NDArray[np.float64]]:
    """Return Detectron2's figures, in percent, from what :func:`average_precisions` gave.

    Returns:
        ``AP``, ``AP50``, ``AP75``, ``APs``, ``APm``, ``APl`` and, of several classes,
        ``AP-<class>``, each of shape (R,); NaN where nothing is defined.
    """
    return {name: _mean(values) for name, values in _averaged(matches, precisions).items()}


def class_changes(matches: Matches, precisions: NDArray[np.float64]) -> dict[str, float]:
    """Return the share of weightings, in [0, 1], whose figure is a mean over other classes.

    Others than those of the first weighting, which is not counted; by figure, as :func:`metrics`.
    """
    out = {}
    for name, values in _averaged(matches, precisions).items():
        defined = ~np.isnan(values)
        out[name] = float((defined[1:] != defined[0]).any(axis=1).mean())
    return out


def _averaged(matches: Matches, precisions: NDArray[np.float64]) -> dict[str, NDArray[np.float64]]:
    """Return the average precisions that each figure is the mean of, of shape (R, any)."""
    out = {
        name: precisions[:, :, area] if at is None else precisions[:, :, area, at]
        for name, (area, at) in METRICS.items()
    }
    if len(matches.classes) > 1:
        for number, one in enumerate(matches.classes):
            out[f"AP-{one.name}"] = precisions[:, number, 0]
    return {name: values.reshape(len(values), -1) for name, values in out.items()}


def _mean(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """100 times the mean over the last axis of what is defined."""
    defined = ~np.isnan(values)
    with np.errstate(invalid="ignore"):
        return 100 * np.where(defined, values, 0).sum(axis=1) / defined.sum(axis=1)


def _of_class(one: ClassMatches, weights: NDArray[np.int32]) -> NDArray[np.float64]:
    """Return average precisions of shape (R, areas, thresholds)."""
    out = np.full((len(weights), len(AREAS), len(THRESHOLDS)), np.nan)
    drawn = weights[:, one.image]
    for area, objects in enumerate(one.objects):
        total = weights[:, objects].sum(axis=1)
        if not total.any():
            continue
        reached = _reached(total)
        for at in range(len(THRESHOLDS)):
            hits = np.flatnonzero(one.hit[area, at])
            counted = np.flatnonzero(~one.ignored[area, at])
            seen = np.cumsum(drawn[:, counted], axis=1, dtype=np.int32)
            seen = seen[:, np.searchsorted(counted, hits)]
            found = np.cumsum(drawn[:, hits], axis=1, dtype=np.int32)
            out[:, area, at] = _interpolated(seen, found, reached)
        out[total == 0, area] = np.nan
    return out


def _reached(total: NDArray[np.int32]) -> NDArray[np.int32]:
    """Return how many of the 101 recalls 0, 1, 2, ... found objects reach, of shape (R, most + 1).

    The division is COCO's, so that 57 of 100 falls on the same side of 0.57.
    """
    counts = np.arange(total.max() + 1)
    recalls = counts / np.maximum(total, 1)[:, None]
    return np.searchsorted(_RECALLS, recalls, side="right").astype(np.int32)


def _interpolated(
    seen: NDArray[np.int32], found: NDArray[np.int32], reached: NDArray[np.int32]
) -> NDArray[np.float64]:
    """Return the mean over the recalls of the best precision from each recall on, of shape (R,).

    Args:
        seen, found: at each hit, detections so far and hits so far; (R, hits).
        reached: see :func:`_reached`.
    """
    precision = found / (seen + np.spacing(1))
    best = np.maximum.accumulate(precision[:, ::-1], axis=1)[:, ::-1]
    rows = np.arange(len(found))[:, None] * reached.shape[1]
    steps = np.diff(reached.ravel().take(found + rows), axis=1, prepend=0)
    return np.einsum("rh,rh->r", best, steps) / len(_RECALLS)
