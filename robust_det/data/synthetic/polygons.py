"""From a pixel mask to COCO polygons that rasterise back to exactly that mask."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

__all__ = ["mask_to_polygons"]

_ENLARGE = 3


def mask_to_polygons(mask: NDArray[np.bool_]) -> list[list[float]]:
    """Outline a mask, holes and separate parts included.

    COCO polygons have no holes: a part with a hole is cut in two through it, so that each
    polygon is simple and their union is the mask.

    Args:
        mask: (H, W) boolean.

    Returns:
        Polygons ``[x0, y0, x1, y1, ...]`` in pixels, origin at the image's upper left corner;
        none for an empty mask. pycocotools rasterises them to ``mask`` again.
    """
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    if not len(rows):
        return []
    top, left = int(rows[0]), int(columns[0])
    crop = mask[top : rows[-1] + 1, left : columns[-1] + 1].astype(np.uint8)
    # OpenCV's contours run through pixel centres, which costs half a pixel all around; through
    # the centres of thirds of pixels it is a sixth, less than pycocotools can see
    fine = crop.repeat(_ENLARGE, axis=0).repeat(_ENLARGE, axis=1)
    contours, hierarchy = cv2.findContours(fine, cv2.RETR_CCOMP, cv2.CHAIN_APPROX_SIMPLE)
    for contour, (_, _, _, parent) in zip(contours, hierarchy[0], strict=True):
        if parent >= 0:
            cut = left + int(contour[:, 0, 0].mean()) // _ENLARGE
            first, second = mask.copy(), mask.copy()
            first[:, cut:] = False
            second[:, :cut] = False
            return mask_to_polygons(first) + mask_to_polygons(second)
    corner = np.array([left, top])
    points = [(c[:, 0].astype(np.float64) + 0.5) / _ENLARGE + corner for c in contours]
    return [np.round(p, 2).ravel().tolist() for p in points]
