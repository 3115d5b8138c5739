"""The job of ``robust-det export`` for a classifier."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch.nn import functional as F

from robust_det.checkpoints.model import Model
from robust_det.checkpoints.model_file import NetworkFile
from robust_det.classification.class_order import imagenet_synsets
from robust_det.core.errors import UserError
from robust_det.core.files import sha256_file
from robust_det.data.classification.crops import Undecodable, eval_transform
from robust_det.data.classification.sizes import usual_resize
from robust_det.data.samples import photographs, random_images
from robust_det.export.files import ran, write_export
from robust_det.export.formats import Exported, Interface, format_named
from robust_det.models import Classifier, check_image_size, get_architecture

__all__ = ["TOLERANCE", "Export", "export_classifier"]

logger = logging.getLogger(__name__)

TOLERANCE = 1e-4  # of the largest logit, in float32
_BATCHES = (1, 2)  # beside all images at once; a trace may keep the size of its own
_INTERFACE = Interface("images", ("logits",), {"images": {0: "batch"}, "logits": {0: "batch"}})


@dataclass(frozen=True)
class Export:
    """What an export of a classifier did.

    Attributes:
        description: the path of what lies beside the file.
        differences: by kind of images, the largest difference of a logit as a share of the largest
            logit, over batches of several sizes.
        notes: what was assumed, a sentence each.
    """

    description: Path
    differences: Mapping[str, float]
    notes: tuple[str, ...]


@torch.no_grad()
def export_classifier(
    file: NetworkFile,
    model: Model,
    kind: str,
    output: Path,
    *,
    sample: Path | None = None,
    size: int | None = None,
    overwrite: bool = False,
) -> Export:
    """Export a classifier with its normalisation, and write it if all logits agree.

    Both networks are run on photographs and random images, in batches of several sizes.

    Args:
        file: of the classifier.
        model: what was read from it.
        kind: of file, one of :data:`robust_det.export.formats.FORMATS`.
        output: the file; a description of its input, output and classes goes beside it, as
            ``.json``, and into its metadata.
        sample: an image that both are run on as well.
        size: side of the images in pixels; by default what the file says.
        overwrite: replace the files if they exist.

    Raises:
        UserError: an unknown format, no head, a size that the network does not take, other logits,
            or files that exist; nothing is written.
    """
    export = format_named(kind)
    classifier, side = model.classifier().requires_grad_(False), size or model.image_size
    check_image_size(model.arch, side)
    images = {"photographs": _photographs(sample, side), "random images": random_images(side)}
    said = _describe(file, model, side)
    differences: dict[str, float] = {}

    def proved() -> bytes:
        content, run = export(classifier, torch.cat([*images.values()])[:2], _INTERFACE, said)
        for name, batch in images.items():
            differences[name] = _difference(classifier, run, batch, name)
        return content

    inputs = [file.path, *([sample] if sample is not None else [])]
    description = write_export(output, kind, said, proved, overwrite=overwrite, inputs=inputs)
    return Export(description, differences, _assumed(model, side, size))


def _photographs(sample: Path | None, side: int) -> torch.Tensor:
    """Return photographs (N, 3, side, side) in [0, 1], the user's one first."""
    resized = F.interpolate(photographs(), size=(side, side), mode="bilinear", antialias=True)
    real = resized.clamp(0, 1)
    if sample is None:
        return real
    try:
        own = eval_transform(usual_resize(side), side)(str(sample))
    except (Undecodable, OSError) as error:
        raise UserError(f"--sample {sample} cannot be read: {error}") from error
    return torch.cat([own[None].float() / 255, real])


def _difference(classifier: Classifier, run: Exported, images: torch.Tensor, kind: str) -> float:
    """Return the largest difference of a logit, as a share of the largest logit.

    Raises:
        UserError: it is above :data:`TOLERANCE`, or the logits say nothing.
    """
    expected = classifier(images)
    if not bool(expected.isfinite().all()):
        raise UserError(
            f"logits are not finite on {kind}: the network is damaged or diverged; nothing written"
        )
    if not (expected - expected[:1]).any():
        raise UserError(
            f"logits are the same for all {kind}: the network is dead, which would prove nothing;"
            " nothing written"
        )
    largest = 0.0
    for count in (*_BATCHES, len(images)):
        found = ran(run, images[:count], "classifier", f"a batch of {count}")[0]
        if found.shape != expected[:count].shape:
            raise UserError(
                f"the exported classifier returns {tuple(found.shape)} for a batch of {count}, not"
                f" {tuple(expected[:count].shape)}; nothing written"
            )
        difference = float((found - expected[:count]).abs().max() / expected.abs().max())
        if not difference <= TOLERANCE:  # nor is NaN
            raise UserError(
                f"logits of the exported classifier differ by {difference:.1e} of the largest one"
                f" on {kind}, in a batch of {count}, more than {TOLERANCE:.0e}; nothing written"
            )
        largest = max(largest, difference)
    logger.info(f"{kind}: the largest difference is {largest:.1e} of the largest logit")
    return largest


def _classes(model: Model) -> list[str]:
    if not model.classes and model.num_classes == len(imagenet_synsets()):
        return [*imagenet_synsets()]
    return [*model.classes]


def _assumed(model: Model, side: int, size: int | None) -> tuple[str, ...]:
    notes = []
    if not (model.described or size or get_architecture(model.arch).image_size):
        notes.append(
            f"the file does not say the size of its images: {side} px are taken; --size gives"
            " another"
        )
    if not model.classes:
        names = "ImageNet's, by their WordNet ids" if _classes(model) else "left out"
        notes.append(f"the file does not name its classes: they are {names}")
    return tuple(notes)


def _describe(file: NetworkFile, model: Model, side: int) -> dict[str, Any]:
    """Return what a program needs to know to use the file."""
    return {
        "input": {
            "name": "images",
            "shape": ["batch", 3, side, side],
            "type": "float32",
            "range": [0, 1],
            "channels": "RGB",
            "normalised": "by the model",
            "resized": {
                "short_side": usual_resize(side),
                "central_crop": side,
                "how": "bilinear, as Pillow does",
            },
        },
        "outputs": {"logits": f"(batch, {model.num_classes}) float32: one a class, before softmax"},
        "classes": _classes(model),
        "arch": model.arch,
        "trained": {"norm": model.norm, "eps": model.eps},
        "classifier_sha256": sha256_file(file.path),
    }
