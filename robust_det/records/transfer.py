"""The record of a classifier that was transferred to other classes."""

from __future__ import annotations

from typing import Literal

import msgspec

from robust_det.records.base import File, Part, Record
from robust_det.records.pretrain import AttackEvaluator

__all__ = ["OWN_SETS", "ChosenOn", "Selection", "TransferData", "TransferRecord", "Tried"]


ChosenOn = Literal["validation", "test", "left out", "none"]

OWN_SETS = ("folder", "csv")  # names that sets of anything have


class TransferData(Part, frozen=True):
    """The set.

    Attributes:
        set: its name.
        classes: how many.
        headline: the metric that is reported of it, ``top1`` or ``mean_per_class``.
        manifest: digest of the split manifest.
        train, val, test: images that were trained on while something was chosen, chosen by, and
            tested on, of these without those that could not be read; what is tested was trained
            on the first two.
        subset: see ``TRANSFER.SUBSET``; 0 is all.
        downscale: short side in pixels that images were shrunk to first; 0 is none.
        left_out: images of training that are among those of test or validation.
        skipped: images that could not be read, of all splits.
    """

    set: str
    classes: int
    headline: str
    manifest: str
    train: int
    val: int
    test: int
    subset: float = 0.0
    downscale: int = 0
    left_out: int = 0
    skipped: int = 0


class Tried(Part, frozen=True):
    """One of the settings that were tried.

    Attributes:
        settings: by name, such as ``lr`` or ``strength``.
        accuracy: headline accuracy in percent on the images it was chosen by.
        converged: whether the fit did; of training by SGD, whether it did not diverge.
    """

    settings: dict[str, float]
    accuracy: float
    converged: bool = True


class Selection(Part, frozen=True):
    """How the settings of the tested classifier were chosen.

    Attributes:
        on: the images: ``validation``, ``test`` (a quirk), or ``left out``, each image by a fit
            without it; ``none`` if there was nothing to choose.
        chosen: the settings.
        tried: all of them.
        remarks: what speaks against the choice, a sentence each.
    """

    on: ChosenOn
    chosen: dict[str, float]
    tried: list[Tried] = msgspec.field(default_factory=list)
    remarks: list[str] = msgspec.field(default_factory=list)


class TransferRecord(Record, frozen=True, kw_only=True, tag_field="kind", tag="transfer"):
    """The record of a transferred classifier; more in :class:`.Record`.

    ``weights`` are the backbone's, ``norm`` and ``eps`` those of its pretraining.

    Attributes:
        mode: ``fixed-feature``, ``full-network`` or ``head-then-all``.
        head: ``logreg``, ``ridge``, ``knn`` or ``sgd``.
        data: the set.
        selection: how settings were chosen.
        quirks: keys of the paper's quirks that were on.
        evaluators: the attacks; none if there was no attack.
        metrics: ``top1``, ``mean_per_class``, maybe ``adversarial_top1`` and those of corruptions,
            on the test images, in percent.
        classifier: the file of the classifier; None of nearest neighbours, which have none.
        processes: how many trained together.
    """

    mode: Literal["fixed-feature", "full-network", "head-then-all"]
    head: Literal["logreg", "ridge", "knn", "sgd"]
    data: TransferData
    selection: Selection
    quirks: list[str]
    evaluators: list[AttackEvaluator]
    metrics: dict[str, float | None]
    classifier: File | None = None
    processes: int = 1

    @property
    def headline(self) -> float | None:
        """The accuracy that is reported of the set, in percent."""
        return self.metrics[self.data.headline]

    @property
    def set_name(self) -> str:
        """The set's name; of one of the user's own, what its folder or file is called."""
        if self.data.set not in OWN_SETS:
            return self.data.set
        return self.images_name or self.data.set
