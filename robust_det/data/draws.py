"""Stratified draws: so many of the images of a class, by a seed."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from robust_det.core.seeding import mixed_seed

__all__ = ["drawn", "kept"]


def kept(number: int, fraction: float) -> int:
    """Return how many of a class's images stay where a part of them is held out for validation.

    Args:
        number: of its images.
        fraction: to hold out, rounded; one at least, and one at least stays.
    """
    return max(number - max(round(number * fraction), 1), 1)


def drawn(number: int, count: int, *seed: int) -> NDArray[np.int64]:
    """Draw so many of a class's images.

    Args:
        number: of its images.
        count: how many; if there are no more, one is left to the others.
        seed: numbers that the draw is a function of.

    Returns:
        (count,) positions in random order; a smaller draw begins a larger one.
    """
    order = np.random.default_rng(mixed_seed(*seed)).permutation(number)
    return order[: min(count, max(number - 1, 1))]
