"""Boxes of background: where no object is, and as large as objects are."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

__all__ = ["MOST_OVERLAP", "background_boxes", "intersections"]

MOST_OVERLAP = 0.3  # intersection over union with any object; detectors take less for background
_TRIES = 50  # of a box, before the image is taken to have no room for it

Boxes = NDArray[np.float64]


def background_boxes(
    size: tuple[int, int],
    count: int,
    shares: Boxes,
    objects: Boxes,
    crowds: Boxes,
    rng: np.random.Generator,
) -> Boxes:
    """Draw boxes that overlap no object of an image by much, and no crowd at all.

    Args:
        size: width and height of the image in pixels.
        count: how many; fewer are found in an image that is full of objects.
        shares: (M, 2) widths and heights of the set's objects, as shares of their images' sides.
        objects, crowds: (N, 4) corners x0, y0, x1, y1 in pixels.
        rng: of the draws.

    Returns:
        (at most ``count``, 4) corners, inside of the image.
    """
    found: list[Boxes] = []
    sides = np.array(size, dtype=np.float64)
    for _ in range(count):
        extents = np.minimum(shares[rng.integers(0, len(shares), _TRIES)], 1) * sides
        corners = rng.random((_TRIES, 2)) * (sides - extents)
        tries = np.concatenate([corners, corners + extents], 1)
        areas = extents.prod(1)[:, None]
        common = intersections(tries, objects)
        union = areas + (objects[:, 2:] - objects[:, :2]).prod(1) - common
        free = (common < MOST_OVERLAP * union).all(1) & (intersections(tries, crowds) == 0).all(1)
        if free.any():
            found.append(tries[free.argmax()])
    return np.array(found).reshape(-1, 4)


def intersections(first: Boxes, second: Boxes) -> Boxes:
    """Return the areas that boxes (N, 4) and (M, 4) share, (N, M)."""
    low = np.maximum(first[:, None, :2], second[None, :, :2])
    high = np.minimum(first[:, None, 2:], second[None, :, 2:])
    return np.asarray((high - low).clip(min=0).prod(2))
