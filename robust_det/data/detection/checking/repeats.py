"""Telling whether an object is annotated a second time."""

from __future__ import annotations

import math
import struct
from collections.abc import Sequence
from typing import Any

__all__ = ["Repeats"]

# rounding to whole pixels moves an edge by no more; boxes of few pixels have to agree as well
_PIXELS = 0.5
_LEAST_IOU = 0.9
_pack, _unpack = struct.Struct("4d").pack, struct.Struct("4d").iter_unpack


class Repeats:
    """Knows the boxes that it was asked about, in cells of a pixel by their upper left corner.

    They are kept as bytes under hashes: as Python objects, those of a million would take 0.5 GB.
    """

    def __init__(self) -> None:
        self._boxes: dict[int, bytes] = {}

    def has(self, what: tuple[Any, ...], box: Sequence[float]) -> bool:
        """Return whether a box was there before, but for rounding, and keep it if not.

        Args:
            what: what has to agree as well, such as image and class.
            box: ``[x, y, width, height]`` in pixels, finite.
        """
        x, y, width, height = box
        known = self._boxes
        column, row = math.floor(x), math.floor(y)
        columns = (column, column - 1 if x - column < _PIXELS else column + 1)
        rows = (row, row - 1 if y - row < _PIXELS else row + 1)
        for near_column in columns:
            for near_row in rows:
                found = known.get(hash((what, near_column, near_row)))
                if found is not None and any(_is_same(box, other) for other in _unpack(found)):
                    return True
        key = hash((what, column, row))
        known[key] = known.get(key, b"") + _pack(x, y, width, height)
        return False


def _is_same(box: Sequence[float], other: Sequence[float]) -> bool:
    x, y, width, height = box
    u, v, other_width, other_height = other
    ends, other_ends = (x + width, y + height), (u + other_width, v + other_height)
    edges = (x - u, y - v, ends[0] - other_ends[0], ends[1] - other_ends[1])
    if max(map(abs, edges)) > _PIXELS:
        return False
    shared = (min(ends[0], other_ends[0]) - max(x, u)) * (min(ends[1], other_ends[1]) - max(y, v))
    both = width * height + other_width * other_height - shared
    return shared >= _LEAST_IOU * both
