"""Keypoints in their spellings, brought into one."""

from __future__ import annotations

import math
from typing import Any

__all__ = ["canonical_keypoints"]


def canonical_keypoints(points: Any) -> list[float] | None:
    """Return ``[x, y, visibility, ...]``, also of ``[[x, y, visibility], ...]``; None of others."""
    if not isinstance(points, list):
        return None
    if points and all(isinstance(point, list) and len(point) == 3 for point in points):
        points = [value for point in points for value in point]
    try:
        return points if len(points) % 3 == 0 and math.isfinite(sum(points)) else None
    except (TypeError, OverflowError):
        return None
