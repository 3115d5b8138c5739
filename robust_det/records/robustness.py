"""The record of how robust a classifier was found to be."""

from __future__ import annotations

from typing import Literal

from robust_det.records.base import File, Part, Record
from robust_det.records.pretrain import SplitOff

__all__ = [
    "AttackNorm",
    "CheckFigure",
    "CheckOutcome",
    "Checks",
    "EnsembleMember",
    "EvaluatedImages",
    "RobustAccuracy",
    "RobustnessRecord",
]

AttackNorm = Literal["l2", "linf", ""]


class EvaluatedImages(Part, frozen=True):
    """The images.

    Attributes:
        folder: that holds the folders of their classes.
        images: how many were evaluated.
        of: how many there are; if more, each class's share was drawn by the record's seed.
        digest: of their names and of what is in the files, see
            :mod:`robust_det.data.classification.identity`.
        classes: how many classes the folders are of; the classifier may have more.
        size, resize: the crop, and the short side that it was cut from, in pixels.
        split_off: how they were split off the training images; None where they lay apart.
    """

    folder: str
    images: int
    of: int
    digest: str
    classes: int
    size: int
    resize: int
    split_off: SplitOff | None = None


class EnsembleMember(Part, frozen=True):
    """An attack of the sequence.

    Attributes:
        name: as figures name it.
        attack: the optimiser.
        loss: what it climbed.
        targets: how many classes it aimed at, one after the other; 0 is untargeted.
        forward, backward: passes an image at most.
    """

    name: str
    attack: str
    loss: str
    targets: int
    forward: int
    backward: int


class RobustAccuracy(Part, frozen=True):
    """What was left at one eps, in images.

    Attributes:
        eps: in [0, 1] pixel units.
        earlier: that fell at a smaller eps; what was found there lies in this ball as well.
        felled: by each attack in its order, each of which met what was left alone.
        standing: that no attack felled.
        top1: the share of the standing in percent: accuracy in the worst case of the attacks.
        low, high: its 95% score interval (Wilson 1927).
        mean_per_class: the mean of this share over classes, where these have not as many images
            each.
    """

    eps: float
    earlier: int
    felled: dict[str, int]
    standing: int
    top1: float
    low: float
    high: float
    mean_per_class: float | None = None


class CheckFigure(Part, frozen=True):
    """An accuracy, in percent of the images of the checks, and what it is under."""

    under: str
    top1: float


class CheckOutcome(Part, frozen=True):
    """A check of whether gradients are masked.

    Attributes:
        name: what was checked.
        passed: whether nothing speaks against the figures.
        figures: what it was told by.
        meaning: what a failure says.
    """

    name: str
    passed: bool
    figures: list[CheckFigure]
    meaning: str


class Checks(Part, frozen=True):
    """The checks, and the eps and the number of images they were made at and on."""

    eps: float
    images: int
    outcomes: list[CheckOutcome]


class RobustnessRecord(Record, frozen=True, kw_only=True, tag_field="kind", tag="robustness"):
    """The record of a classifier that was attacked; more in :class:`.Record`.

    ``weights`` are what was attacked; ``norm`` and ``eps`` are of its training, as its file says.

    Attributes:
        data: the images.
        metrics: ``clean_top1``, ``clean_top5`` of five classes or more, and ``mean_per_class``
            where classes have not as many images each, in percent.
        correct: how many images were classified right as they are.
        attack_norm: of the threat models.
        budget: the name of the sequence of attacks; empty where nothing was attacked.
        budget_version: of what the name means; figures of two versions are of two attacks.
        members: the attacks.
        notes: in what the sequence differs from its description.
        robust: what was left, by rising eps.
        not_finite: how often an attack met logits that are not finite, which tell it nothing.
        checks: of masked gradients; None where none were made.
        images: the file with what each image fell by.
        per_class: the file of the accuracy of each class; None in those of earlier versions.
    """

    data: EvaluatedImages
    metrics: dict[str, float | None]
    correct: int
    attack_norm: AttackNorm
    budget: str
    budget_version: int
    members: list[EnsembleMember]
    notes: list[str]
    robust: list[RobustAccuracy]
    not_finite: int
    checks: Checks | None
    images: File
    per_class: File | None = None

    @property
    def attack(self) -> str:
        """What the figures are the worst case of, in words."""
        return f"worst case of {', '.join(member.name for member in self.members)}"
