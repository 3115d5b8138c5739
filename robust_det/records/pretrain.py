"""The record of a pretrained classifier."""

from __future__ import annotations

from typing import Annotated

import msgspec

from robust_det.records.base import File, Part, Record

__all__ = [
    "AttackEvaluator",
    "ClassifierEvaluationRecord",
    "ImageSets",
    "PretrainRecord",
    "SplitOff",
    "TrainImages",
    "TrainingCost",
    "ValImages",
]


class TrainImages(Part, frozen=True):
    """The training split: how many images and classes."""

    images: int
    classes: int


class SplitOff(Part, frozen=True):
    """Images that were split off the training images, class by class.

    Attributes:
        fraction: of each class's images.
        seed: of the draw.
        of: how many images there were to split.
        sha256: of the classes and the names of what was split off.
    """

    fraction: float
    seed: int
    of: int
    sha256: str


class ValImages(Part, frozen=True):
    """The validation split.

    Attributes:
        images: how many the clean accuracy is of.
        skipped: how many more there are, which could not be read.
        split_off: how they were split off the training images; None where they lay apart.
    """

    images: int
    skipped: int = 0
    split_off: SplitOff | None = None


class ImageSets(Part, frozen=True):
    """The splits of a classification data set."""

    train: TrainImages
    val: ValImages


class AttackEvaluator(Part, frozen=True):
    """The attack behind ``adversarial_top1``.

    Attributes:
        name: of the attack.
        norm, eps: its threat model; eps in [0, 1] pixel units.
        steps, step_size: of the attack; the size as eps.
        images: how many were attacked.
        objective, restarts: what it maximised, and from how many starts.
    """

    name: str
    norm: str
    eps: float
    steps: int
    step_size: float
    images: int
    objective: str = "cross_entropy"
    restarts: int = 1


class TrainingCost(Part, frozen=True):
    """What training cost in passes through the network; its seconds are the record's.

    Attributes:
        method: of adversarial training; standard for eps 0.
        forward, backward: passes an image in an optimiser step, on average.
        images: of all steps together.
        attack: that trained, as ``ATTACK.NAME`` names it; empty for eps 0.
    """

    method: str
    forward: float
    backward: float
    images: int
    attack: str = "pgd"

    @property
    def words(self) -> str:
        """The method, and the attack where that is not the usual one."""
        return self.method if self.attack in ("", "pgd") else f"{self.method}, {self.attack}"


class PretrainRecord(Record, frozen=True, kw_only=True, tag_field="kind", tag="pretrain"):
    """The record of a pretrained classifier; more in :class:`.Record`.

    Attributes:
        data: sizes of the splits.
        evaluators: the attacks that it was validated by.
        metrics: figures of the last epoch; accuracies in percent, None where undefined.
        processes: how many trained together.
        started_from: the file whose weights the run started from; None for random ones.
        cost: of its training; None in the records of earlier versions.
        per_class: the file of the accuracy of each class; None likewise.
    """

    eps: Annotated[float, msgspec.Meta(ge=0)]
    data: ImageSets
    evaluators: list[AttackEvaluator]
    metrics: dict[str, float | None]
    processes: int
    started_from: File | None = None
    cost: TrainingCost | None = None
    per_class: File | None = None

    @property
    def method(self) -> str:
        """Of adversarial training, see :attr:`TrainingCost.words`; empty for eps 0."""
        if not self.eps:
            return ""
        return self.cost.words if self.cost else "pgd"  # there was no other one


class ClassifierEvaluationRecord(
    Record, frozen=True, kw_only=True, tag_field="kind", tag="classifier_evaluation"
):
    """The record of a classifier that was evaluated after its training, wherever that was.

    ``weights`` are what was evaluated; ``norm`` and ``eps`` are of its training, as its file says.

    Attributes:
        data: the images that it was evaluated on.
        classes: how many classes they are of; the classifier may have more.
        evaluators: the attacks, of which eps 0 is none.
        metrics: accuracies in percent, None where undefined.
        processes: how many evaluated together.
        per_class: the file of the accuracy of each class; None in those of earlier versions.
    """

    data: ValImages
    classes: int
    evaluators: list[AttackEvaluator]
    metrics: dict[str, float | None]
    processes: int
    per_class: File | None = None
