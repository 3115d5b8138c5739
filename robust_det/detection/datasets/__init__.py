"""The data sets a detector sees, as Detectron2 knows them: registered by name, and drawn."""

from robust_det.data.detection.dataset_facts import DatasetFacts
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
