"""Which images are evaluated, if not all are."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from robust_det.core.seeding import mixed_seed

__all__ = ["stratified"]

_DRAW = 3  # sets it apart from other draws of the seed


def stratified(targets: NDArray[np.int64], count: int, seed: int) -> NDArray[np.int64]:
    """Draw images so that each class has its share of them, but for one image.

    A smaller draw lies within the larger ones of the same seed: the images of a class are spread
    evenly over (0, 1), in a random order from a random start, and the first of all are taken.

    Args:
        targets: (N,) classes.
        count: how many to draw; all if there are no more.
        seed: of the draw.

    Returns:
        Positions in ``targets``, rising.
    """
    place = np.empty(len(targets))
    for number in np.unique(targets):
        where = np.flatnonzero(targets == number)
        generator = np.random.default_rng(mixed_seed(seed, _DRAW, int(number)))
        order = generator.permutation(len(where))
        place[where[order]] = (np.arange(len(where)) + generator.random()) / len(where)
    return np.sort(np.argsort(place, kind="stable")[:count])
