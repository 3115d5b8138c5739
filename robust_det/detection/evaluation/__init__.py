"""Evaluators: the figures they give, and what they leave on disk."""

from robust_det.detection.evaluation.coco import FastCOCOEvaluator
from robust_det.detection.evaluation.evaluators import (
    build_evaluator,
    describe_evaluators,
)
from robust_det.detection.evaluation.panoptic import PanopticEvaluator
from robust_det.detection.evaluation.saved_files import (
    DETECTIONS_NAME,
    saved_detections,
    saved_segmentations,
)
from robust_det.detection.evaluation.voc import VOCEvaluator

__all__ = [
    "DETECTIONS_NAME",
    "FastCOCOEvaluator",
    "PanopticEvaluator",
    "VOCEvaluator",
    "build_evaluator",
    "describe_evaluators",
    "saved_detections",
    "saved_segmentations",
]
