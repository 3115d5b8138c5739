"""Measuring a model's ImageNet accuracy again, beside what was reported of it."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from statistics import NormalDist

import numpy as np

from robust_det.checkpoints.model import Model
from robust_det.data.image_folder import ImageFolder, eval_transform
from robust_det.device import resolve_device
from robust_det.errors import UserError
from robust_det.models import Classifier
from robust_det.pretrain.config import pretrain_defaults
from robust_det.pretrain.distributed import World
from robust_det.pretrain.validate import validate

__all__ = ["TOLERANCE", "Measurement", "measure", "open_images", "wilson_interval"]

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


class _Images(ImageFolder):
    """The images of one split, or some of them, evenly spread over the classes."""

    def keep(self, count: int) -> None:
        """Leave ``count`` images; all if there are fewer."""
        count = min(count, len(self))
        chosen = np.arange(count) * len(self) // count
        self.targets, self._paths = self.targets[chosen], self._paths[chosen]


def open_images(folder: str | Path, model: Model, limit: int | None = None) -> ImageFolder:
    """Open the validation images for a model, in ``FOLDER/val``, or in FOLDER if there is no val.

    Images are resized and cropped as usual: to 256 and 224 pixels for a model of crops of 224.

    Args:
        folder: holds class folders in the order of the model's classes when sorted, as
            ImageNet's are.
        model: whose classes they are.
        limit: this many images, evenly spread; all by default.

    Raises:
        UserError: they are not the model's classes; or see :class:`ImageFolder`.
    """
    folder = Path(folder).expanduser()
    split = "val" if (folder / "val").is_dir() else ""
    size = model.image_size
    images = _Images(folder, split, eval_transform(round(size * 256 / 224), size))
    if len(images.classes) != model.num_classes:
        raise UserError(
            f"{images.folder} has {len(images.classes)} class folders, but the model has"
            f" {model.num_classes} classes; give the data it was trained for"
        )
    if model.classes and list(model.classes) != images.classes:
        odd = sorted(set(model.classes) ^ set(images.classes))
        raise UserError(f"{images.folder} and the model differ in classes: {odd[:5]}")
    if limit is not None:
        images.keep(limit)
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
    metrics = validate(cfg, classifier.to(where), images, where, World())
    low, high = wilson_interval(metrics["clean_top1"] / 100, len(images))
    return Measurement(metrics["clean_top1"], len(images), 100 * low, 100 * high)


def wilson_interval(share: float, n: int, confidence: float = 0.95) -> tuple[float, float]:
    """Return the score interval of a proportion measured on ``n`` cases (Wilson 1927)."""
    z2 = NormalDist().inv_cdf((1 + confidence) / 2) ** 2
    middle = share + z2 / (2 * n)
    half = math.sqrt(z2 * (share * (1 - share) + z2 / (4 * n)) / n)
    return (middle - half) / (1 + z2 / n), (middle + half) / (1 + z2 / n)
