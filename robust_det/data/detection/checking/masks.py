"""Checks of a single object's mask."""

from __future__ import annotations

import math
from typing import Any

from robust_det.data.detection.canonical.runs import canonical_runs

__all__ = ["TOLERANCE", "check_mask"]

# pixels by which coordinates may leave the image: annotation tools round
TOLERANCE = 1.0


def check_mask(outline: Any, width: float, height: float) -> tuple[str, Any]:
    """Check the ``segmentation`` of a COCO annotation.

    Args:
        outline: polygons ``[[x0, y0, x1, y1, ...], ...]`` or run lengths with their size.
        width, height: of the image, in pixels.

    Returns:
        The kind of finding, empty if the mask is sound, and what to use in its place, None if there
        is no use for it.
    """
    if isinstance(outline, dict):
        return _check_runs(outline, width, height)
    if not isinstance(outline, list):
        return "broken_mask", None
    kind, kept = "", []
    for polygon in outline:
        if not _is_polygon(polygon):
            kind = "broken_mask"
            continue
        if not _is_inside(polygon, width, height):
            kind = kind or "mask_outside"
            limits = (width, height) * (len(polygon) // 2)
            polygon = [min(max(v, 0), end) for v, end in zip(polygon, limits, strict=True)]
        kept.append(polygon)
    return kind, kept or None


def _is_polygon(points: Any) -> bool:
    # pycocotools takes four numbers for a box and fails on fewer
    if not isinstance(points, list) or len(points) < 6 or len(points) % 2:
        return False
    try:
        return math.isfinite(sum(points))
    except TypeError:
        return False


def _is_inside(points: list[float], width: float, height: float) -> bool:
    if min(points) < -TOLERANCE:
        return False
    if max(points) <= min(width, height) + TOLERANCE:
        return True
    return max(points[0::2]) <= width + TOLERANCE and max(points[1::2]) <= height + TOLERANCE


def _check_runs(outline: dict[str, Any], width: float, height: float) -> tuple[str, Any]:
    size = outline.get("size")
    if not isinstance(size, (list, tuple)) or len(size) != 2:
        return "broken_mask", None
    if list(size) != [height, width]:
        return "mask_size", None
    runs = canonical_runs(outline, int(width), int(height))
    if runs is None:
        return "broken_mask", None
    # integers and floats are equal, and not the same to pycocotools
    return "", outline if repr(runs) == repr(outline) else runs
