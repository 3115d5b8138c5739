"""The record of a fine-tuned detector."""

from __future__ import annotations

from typing import Any

from robust_det.records.base import File, Part, Record

__all__ = ["DataSet", "DataSets", "DetectionRecord", "Evaluator", "Picture"]


class DataSet(Part, frozen=True):
    """A data set as a run used it.

    Attributes:
        name: as registered.
        images, annotations, classes: how many; the classes are those of objects.
        sha256: of the annotations.
        annotations_file: their path as it was used, if they are one file.
        stuff: number of classes of its semantic maps.
        panoptic_sha256: of its panoptic annotations, if there are any.
    """

    name: str
    images: int
    annotations: int
    classes: int
    sha256: str
    annotations_file: str = ""
    stuff: int = 0
    panoptic_sha256: str = ""


class DataSets(Part, frozen=True):
    """What a detector was trained and tested on."""

    train: list[DataSet]
    test: list[DataSet]


class Evaluator(Part, frozen=True):
    """What scored the test sets: the rules by their usual name, and the code that applied them."""

    name: str
    library: str
    version: str


class Picture(Part, frozen=True):
    """An image of the test set by its name, with the paths of two pictures in the run's folder."""

    image: str
    ground_truth: str
    prediction: str


class DetectionRecord(Record, frozen=True, kw_only=True, tag_field="kind", tag="detection"):
    """The record of a fine-tuned detector; more in :class:`.Record`.

    Attributes:
        data: what it was trained and tested on.
        schedule, protocol: the config's keys, flat, that change what is computed: those of the
            solver, and the others.
        evaluators: what scored the test sets.
        detections: data set -> what was found in it, in COCO's results format.
        segmentations: data set -> task -> what was found in it.
        metrics: task (see :mod:`.metrics`) -> metric -> value in [0, 100]; None where undefined.
        pictures: of the first test images.
        detector: the file that was evaluated, if there is one.
    """

    data: DataSets
    schedule: dict[str, Any]
    protocol: dict[str, Any]
    evaluators: list[Evaluator]
    detections: dict[str, File]
    segmentations: dict[str, dict[str, File]]
    metrics: dict[str, dict[str, float | None]]
    pictures: list[Picture]
    detector: File | None = None
