"""Measuring a model's ImageNet accuracy again, beside what was reported of it."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from statistics import NormalDist

import numpy as np

from robust_det.checkpoints.model import Model
from robust_det.classification.class_order import class_indices
from robust_det.classification.image_sets import CorruptImageError
from robust_det.classification.own_validation import validation_images
from robust_det.classification.settings import pretrain_defaults
from robust_det.classification.validate import validate
from robust_det.core.device import resolve_device
from robust_det.core.errors import UserError
from robust_det.data.classification.crops import eval_transform
from robust_det.data.classification.held_out import HeldOut
from robust_det.data.classification.image_list import ImageList
from robust_det.data.classification.sizes import usual_resize
from robust_det.models import Classifier
from robust_det.training.world import World

__all__ = [
    "TOLERANCE",
    "Measurement",
    "measure",
    "open_images",
    "open_validation",
    "wilson_interval",
]

# points by which a reported figure may lie outside the interval: decoders and resizing differ
TOLERANCE = 0.5


@dataclass(frozen=True)
class Measurement:
    """Top-1 accuracy of a model.

    Attributes:
        top1: in percent.
        images: how many it was measured on.
        low, high: 95% interval of the accuracy on all such images, in percent.
    """

    top1: float
    images: int
    low: float
    high: float

    def agrees_with(self, reported: float) -> bool:
        """Whether a figure in percent is within :data:`TOLERANCE` of the interval."""
        return self.low - TOLERANCE <= reported <= self.high + TOLERANCE


def open_images(
    folder: str | Path,
    model: Model,
    limit: int | None = None,
    size: int | None = None,
    resize: int | None = None,
) -> ImageList:
    """Open the validation images for a model, see :func:`open_validation`.

    Args:
        folder, model, size, resize: see there.
        limit: this many images, evenly spread; all by default.
    """
    images, _ = open_validation(folder, model, size, resize)
    if limit is not None and limit < len(images):
        images.keep(np.arange(limit) * len(images) // limit)
    return images


def open_validation(
    folder: str | Path, model: Model, size: int | None = None, resize: int | None = None
) -> tuple[ImageList, HeldOut | None]:
    """Open the validation images for a model: ``FOLDER/val``; what the model says it was validated
    on, if there is no val; or FOLDER, if it has no splits.

    Images are resized and cropped as usual: to 256 and 224 pixels for a model of crops of 224.

    Args:
        folder: holds class folders, of some of the model's classes or of all.
        model: whose classes they are. If it does not name them, 1000 classes are ImageNet's, in
            folders of their WordNet ids or of the numbers 0 .. 999, and others are the folders in
            their order when sorted.
        size: of the crops in pixels; by default the model's.
        resize: short side in pixels that they are cut from; by default the usual one.

    Returns:
        The images, whose targets are the model's classes; and how they were split off training
        images, if they were.

    Raises:
        UserError: they are not the model's classes; or see :func:`.validation_images`.
    """
    size = size or model.image_size
    transform = eval_transform(resize or usual_resize(size), size)
    images, held_out = validation_images(Path(folder).expanduser(), model, transform)
    images.targets = np.array(class_indices(images.classes, model, images.folder))[images.targets]
    return images, held_out


def measure(
    classifier: Classifier,
    images: ImageList,
    *,
    batch_size: int = 256,
    workers: int = 8,
    device: str = "auto",
) -> Measurement:
    """Measure clean top-1 accuracy, with a progress bar.

    Args:
        classifier: takes images in [0, 1], returns logits; moved to the device.
        images: see :func:`open_images`.
        batch_size, workers: images a batch, and processes that decode them.
        device: ``auto``, ``cpu``, ``cuda`` or ``cuda:N``.

    Raises:
        UserError: an unknown device, or an image that cannot be decoded.
    """
    where = resolve_device(device)
    cfg = pretrain_defaults()  # eps 0: no attack
    cfg.DATA.WORKERS, cfg.EVAL.BATCH_SIZE = workers, batch_size
    try:
        metrics = validate(cfg, classifier.to(where), images, where, World())
    except CorruptImageError as error:
        # there is no config here in which such images could be left out
        raise UserError(error.problem, "repair or remove it") from error
    low, high = wilson_interval(metrics["clean_top1"] / 100, len(images))
    return Measurement(metrics["clean_top1"], len(images), 100 * low, 100 * high)


def wilson_interval(share: float, n: int, confidence: float = 0.95) -> tuple[float, float]:
    """Return the score interval of a proportion measured on ``n`` cases (Wilson 1927)."""
    z2 = NormalDist().inv_cdf((1 + confidence) / 2) ** 2
    middle = share + z2 / (2 * n)
    half = math.sqrt(z2 * (share * (1 - share) + z2 / (4 * n)) / n)
    return (middle - half) / (1 + z2 / n), (middle + half) / (1 + z2 / n)
