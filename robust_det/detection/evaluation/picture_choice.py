"""Which images of a test set are drawn, and what detections found in one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from detectron2.structures import BoxMode, Instances

from robust_det.data.detection.hits import Boxes, match_boxes

__all__ = ["choose_images", "found_and_false"]


def choose_images(dicts: Sequence[dict[str, Any]], count: int) -> list[dict[str, Any]]:
    """Return images in which each class is seen, as far as their number allows.

    The choice depends on the data alone, so that it is the same for every detector. Each image is
    the one with the most classes that were not seen yet, of several the one with the fewest
    objects, which is easily looked at; once all were seen it starts anew.

    Args:
        dicts: of Detectron2, with ``annotations`` where there are objects.
        count: how many at most.
    """
    left = sorted(dicts, key=lambda d: str(d["file_name"]))
    # those with something to find, if there are any
    left = [d for d in left if d.get("annotations", True)] or left
    classes = {id(d): {a["category_id"] for a in d.get("annotations", ())} for d in left}
    chosen: list[dict[str, Any]] = []
    unseen: set[int] = set()
    while left and len(chosen) < count:
        if not any(classes[id(d)] & unseen for d in left):
            unseen = set().union(*classes.values())
        best = max(
            left,
            key=lambda d: (len(classes[id(d)] & unseen), -len(d.get("annotations", ()))),
        )
        left.remove(best)
        chosen.append(best)
        unseen -= classes[id(best)]
    return chosen


def found_and_false(
    annotations: Sequence[Mapping[str, Any]], detections: Instances
) -> tuple[int, int, int]:
    """Match detections with objects of their class at a box IoU of 0.5, by descending score.

    Args:
        annotations: of Detectron2, with classes as the detections number them. Crowds and objects
            marked difficult are not to be found, and a detection on one is not false.
        detections: of one image, those that count.

    Returns:
        How many objects there are, how many were found, and how many detections found none.
    """
    corners = [
        BoxMode.convert(list(a["bbox"]), a["bbox_mode"], BoxMode.XYWH_ABS) for a in annotations
    ]
    ignored = [bool(a.get("iscrowd", 0) or a.get("difficult", 0)) for a in annotations]
    classes = [a["category_id"] for a in annotations]
    objects = Boxes.of(list(zip(corners, classes, ignored, strict=True)))
    boxes = BoxMode.convert(detections.pred_boxes.tensor, BoxMode.XYXY_ABS, BoxMode.XYWH_ABS)
    found = (boxes.tolist(), detections.pred_classes.tolist(), detections.scores.tolist())
    hits = match_boxes(objects, Boxes.of(list(zip(*found, strict=True))))
    return len(objects) - sum(ignored), int(hits.found.sum()), int(hits.false.sum())
