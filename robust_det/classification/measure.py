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
from robust_det.classification.settings import pretrain_defaults
from robust_det.classification.validate import validate
from robust_det.core.device import resolve_device
from robust_det.core.errors import UserError
from robust_det.data.classification.crops import eval_transform
from robust_det.data.classification.image_folder import ImageFolder
from robust_det.data.classification.sizes import usual_resize
from robust_det.models import Classifier
from robust_det.training.world import World

__all__ = [
    "TOLERANCE",
    "Measurement",
    "measure",
    "open_images",
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
) -> ImageFolder:
    """Open the validation images for a model, in ``FOLDER/val``, or in FOLDER if there is no val.

    Images are resized and cropped as usual: to 256 and 224 pixels for a model of crops of 224.

    Args:
        folder: holds class folders, of some of the model's classes or of all.
        model: whose classes they are. If it does not name them, 1000 classes are ImageNet's, in
            folders of their WordNet ids or of the numbers 0 .. 999, and others are the folders in
            their order when sorted.
        limit: this many images, evenly spread; all by default.
        size: of the crops in pixels; by default the model's.
        resize: short side in pixels that they are cut from; by default the usual one.

    Returns:
        The images; their targets are the model's classes.

    Raises:
        UserError: they are not the model's classes; or see :class:`ImageFolder`.
    """
    folder = Path(folder).expanduser()
    split = "val" if (folder / "val").is_dir() else ""
    size = size or model.image_size
    images = ImageFolder(folder, split, eval_transform(resize or usual_resize(size), size))
    images.targets = np.array(class_indices(images.classes, model, images.folder))[images.targets]
    if limit is not None and limit < len(images):
        images.keep(np.arange(limit) * len(images) // limit)
    return images


def measure(
    classifier: Classifier,
    images: ImageFolder,
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
