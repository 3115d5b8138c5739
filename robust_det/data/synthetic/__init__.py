"""The embedded synthetic data sets: single shapes, scenes in COCO format, and flawed detections."""

from robust_det.data.synthetic.datasets import (
    CATEGORY_IDS,
    CLASSES,
    STAMP_NAME,
    write_classification,
    write_coco,
)

__all__ = ["CATEGORY_IDS", "CLASSES", "STAMP_NAME", "write_classification", "write_coco"]
