"""Which objects of an image were found, and which detections found none: what pictures count."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from pycocotools import mask

__all__ = ["IOU", "Boxes", "Hits", "match_boxes"]

IOU = 0.5


@dataclass(frozen=True)
class Boxes:
    """The objects of an image, or its detections.

    Attributes:
        corners: left, top, width and height in pixels, of shape (N, 4).
        classes: a number each, (N,).
        marks: of objects, whether each is a crowd or difficult, and so not to be found; of
            detections, their scores; (N,).
    """

    corners: NDArray[np.float64]
    classes: NDArray[np.int64]
    marks: NDArray[np.float64]

    @classmethod
    def of(cls, entries: Sequence[tuple[Sequence[float], int, float]]) -> Boxes:
        """Return boxes of (corners, class, mark) each."""
        corners = np.array([e[0] for e in entries], dtype=np.float64).reshape(-1, 4)
        classes = np.array([e[1] for e in entries], dtype=np.int64)
        return cls(corners, classes, np.array([e[2] for e in entries], dtype=np.float64))

    def __len__(self) -> int:
        return len(self.classes)


@dataclass(frozen=True)
class Hits:
    """How objects and detections of an image fit.

    Attributes:
        found: by object, whether a detection has it; of those that are not to be found, False.
        false: by detection, whether it has no object, nor lies on one that is not to be found.
    """

    found: NDArray[np.bool_]
    false: NDArray[np.bool_]


def match_boxes(objects: Boxes, detections: Boxes) -> Hits:
    """Match detections with objects of their class at a box IoU of 0.5, by descending score.

    Of several objects a detection takes the one it overlaps most. Overlap with what is not to be
    found is the share of the detection that lies on it, as COCO has it.

    Args:
        objects: of one image.
        detections: in it, those that count.
    """
    found, false = np.zeros(len(objects), bool), np.ones(len(detections), bool)
    if not len(objects) or not len(detections):
        return Hits(found, false)
    ignored = objects.marks > 0
    overlaps = mask.iou(detections.corners, objects.corners, ignored.astype(np.uint8))
    overlaps = np.where(detections.classes[:, None] == objects.classes, overlaps, 0.0)
    for number in np.argsort(-detections.marks, kind="stable"):
        free = np.where(found | ignored, 0.0, overlaps[number])
        best = free.argmax()
        if free[best] >= IOU:
            found[best], false[number] = True, False
        elif (overlaps[number, ignored] >= IOU).any():
            false[number] = False
    return Hits(found, false)
