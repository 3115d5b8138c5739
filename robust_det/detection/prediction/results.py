"""Detections as COCO has them: records of images, and one file of all."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from detectron2.evaluation.coco_evaluation import instances_to_coco_json
from pycocotools import mask as mask_util

from robust_det.detection.prediction.batches import Loaded

__all__ = ["coco_document", "record_of"]


def record_of(
    loaded: Loaded, instances: Any, categories: Sequence[Mapping[str, Any]]
) -> dict[str, Any]:
    """Return the record of an image.

    Args:
        loaded: the image.
        instances: on it, on the CPU, in pixels of the original.
        categories: of the detector.

    Returns:
        ``name``, ``stamp``, ``height``, ``width``, and ``detections`` with ``category_id``,
        ``bbox`` (x, y, width, height), ``score``, and ``segmentation`` (run-length) of a mask.
    """
    height, width = loaded.pixels.shape[:2]
    detections = instances_to_coco_json(instances, 0)
    for detection in detections:
        del detection["image_id"]
        detection["category_id"] = categories[detection["category_id"]]["id"]
    return {
        "name": loaded.item.name,
        "stamp": loaded.item.stamp,
        "height": height,
        "width": width,
        "detections": detections,
    }


def coco_document(
    records: Sequence[Mapping[str, Any]],
    categories: Sequence[Mapping[str, Any]],
    info: Mapping[str, Any],
) -> dict[str, Any]:
    """Return a document in COCO format.

    Its annotations have a ``score``: the document can be loaded as a data set, and its annotations
    alone as results. Images are numbered from 1 in the order of the records.

    Args:
        records: see :func:`record_of`.
        categories: of the detector.
        info: about the document.
    """
    images: list[dict[str, Any]] = []
    annotations: list[dict[str, Any]] = []
    for number, record in enumerate(records, start=1):
        images.append(
            {
                "id": number,
                "file_name": record["name"],
                "height": record["height"],
                "width": record["width"],
            }
        )
        for detection in record["detections"]:
            annotations.append(
                {
                    "id": len(annotations) + 1,
                    "image_id": number,
                    **detection,
                    "area": _area(detection),
                    "iscrowd": 0,
                }
            )
    return {
        "info": dict(info),
        "images": images,
        "annotations": annotations,
        "categories": list(categories),
    }


def _area(detection: Mapping[str, Any]) -> float:
    if "segmentation" in detection:
        return float(mask_util.area(detection["segmentation"]))
    return detection["bbox"][2] * detection["bbox"][3]
