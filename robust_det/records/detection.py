"""The record of a fine-tuned detector."""

from __future__ import annotations

from typing import Any

from robust_det.records.base import File, Part, Record

__all__ = [
    "DataSet",
    "DataSets",
    "DetectionRecord",
    "Detector",
    "Evaluator",
    "InitDetector",
    "Picture",
]


class DataSet(Part, frozen=True):
    """A data set as a run used it.

    Attributes:
        name: as registered.
        images, annotations, classes: how many; the classes are those of objects.
        sha256: of the annotations.
        annotations_file: their path as it was used, if they are one file.
        image_folder: that the names of its images are relative to, as it was used; empty in records
            of before.
        stuff: number of classes of its semantic maps.
        panoptic_sha256: of its panoptic annotations, if there are any.
    """

    name: str
    images: int
    annotations: int
    classes: int
    sha256: str
    annotations_file: str = ""
    image_folder: str = ""
    stuff: int = 0
    panoptic_sha256: str = ""

    @property
    def content(self) -> tuple[str, str]:
        """What tells its annotations from others, wherever they lie."""
        return self.sha256, self.panoptic_sha256


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
    """An image of the test set by its name, with the paths of two pictures in the run's folder.

    Attributes:
        objects: how many the ground truth has; None, as are the next three, where the model finds
            no objects, and in records of before.
        found: how many of them the detections drawn found: of their class, at an IoU of 0.5.
        false: how many of the detections drawn found none.
        score: the least score of the detections drawn.
    """

    image: str
    ground_truth: str
    prediction: str
    objects: int | None = None
    found: int | None = None
    false: int | None = None
    score: float | None = None


class Detector(File, frozen=True):
    """The file of a detector that was evaluated.

    Attributes:
        iterations: of training behind it; None if nothing says how many.
        planned: iterations of its schedule; None likewise.
        best_by: the metric that it was kept for, as the best of a run's evaluations; else empty.
        best: what that metric was, in percent.
        averaged: whether its weights are the average over training.
        assumed: the fields of the record that the file says nothing of, so that they are taken from
            the config it was evaluated with.
    """

    iterations: int | None = None
    planned: int | None = None
    best_by: str = ""
    best: float | None = None
    averaged: bool = False
    assumed: tuple[str, ...] = ()

    @property
    def unfinished(self) -> bool:
        """Whether training was not at its end, as far as is known."""
        return None not in (self.iterations, self.planned) and self.iterations != self.planned


class InitDetector(File, frozen=True):
    """The file of a trained detector that a run started from.

    Attributes:
        train: what that one was trained on; empty if it does not say.
        iterations: of training behind it; None if nothing says how many.
    """

    train: tuple[DataSet, ...] = ()
    iterations: int | None = None


class DetectionRecord(Record, frozen=True, kw_only=True, tag_field="kind", tag="detection"):
    """The record of a fine-tuned detector; more in :class:`.Record`.

    Seed, weights, training data, schedule, and what of the protocol concerns training, are the
    detector's, as its file says, whatever the config says that it was evaluated with.

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
        init_detector: the trained detector that it started from, if it did not from a backbone
            alone.
    """

    data: DataSets
    schedule: dict[str, Any]
    protocol: dict[str, Any]
    evaluators: list[Evaluator]
    detections: dict[str, File]
    segmentations: dict[str, dict[str, File]]
    metrics: dict[str, dict[str, float | None]]
    pictures: list[Picture]
    detector: Detector | None = None
    init_detector: InitDetector | None = None
