"""Top-1 and the per-class mean, which are always given together."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from robust_det.data.transfer.catalogue import MEAN_PER_CLASS, TOP1

__all__ = ["accuracies"]


def accuracies(predicted: NDArray[np.int64], targets: NDArray[np.int64]) -> dict[str, float]:
    """Return both accuracies in percent.

    Args:
        predicted, targets: (N,) class indices, N at least 1. The mean is of the classes that occur
            among the targets.
    """
    right = predicted == targets
    counts = np.bincount(targets)
    hits = np.bincount(targets, weights=right)
    there = counts > 0
    return {
        TOP1: float(100 * right.mean()),
        MEAN_PER_CLASS: float(100 * (hits[there] / counts[there]).mean()),
    }
