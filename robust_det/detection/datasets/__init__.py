"""The data a detector sees: COCO JSON, VOC folders and YOLO folders, checked before a run.

Whatever its form, a data set becomes a document in COCO format (:mod:`.coco`, :mod:`.voc`,
:mod:`.yolo`, :mod:`.panoptic`), is checked (:mod:`.checks`) and registered as COCO JSON
(:mod:`.registration`), so that training, evaluation, records and comparison go one way.
"""

from robust_det.detection.datasets.facts import DatasetFacts
from robust_det.detection.datasets.registration import (
    describe_dataset,
    number_of_classes,
    number_of_stuff_classes,
    prepare_dataset,
    register_custom,
)

__all__ = [
    "DatasetFacts",
    "describe_dataset",
    "number_of_classes",
    "number_of_stuff_classes",
    "prepare_dataset",
    "register_custom",
]
