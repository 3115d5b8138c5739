"""Proof that two networks compute the same features: both are run on the same images."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import nn

from robust_det.checkpoints.model import Model
from robust_det.core.errors import UserError
from robust_det.data.samples import photographs, random_images
from robust_det.models import Classifier, Normalize, get_architecture
from robust_det.models.features import own_features

if TYPE_CHECKING:
    from detectron2.modeling import Backbone

__all__ = ["TOLERANCE", "Proof", "prove", "stage_differences"]

TOLERANCE = 1e-4  # relative, in float32
# in float64, where a network amplifies float32's rounding to more than that
_EXACT_TOLERANCE = 1e-9
# what rounding may make of float32's features before they are of no use to anybody
_NOISE = 1e-2


@dataclass(frozen=True)
class Proof:
    """That two networks are the same.

    Attributes:
        differences: on ``random`` and on ``real`` images, what :func:`stage_differences` returns.
        notes: what is unusual about it, one sentence each.
    """

    differences: Mapping[str, Mapping[str, float]]
    notes: tuple[str, ...] = ()


def prove(
    model: Model,
    backbone: Backbone,
    settings: tuple[Sequence[float], Sequence[float], str],
    source: str,
) -> Proof:
    """Run the original and Detectron2's network on the same random and real images.

    Args:
        model: the network that was read.
        backbone: Detectron2's, with the same weights; may be left in float64.
        settings: pixel mean and std and the channel order of its detector.
        source: the file, for messages.

    Raises:
        UserError: features that are not finite, the same for all images, or not the same for both
            networks: they differ by more than :data:`TOLERANCE`, and do so in float64 as well.
    """
    classifier = Classifier(model.body(), model.mean, model.std)
    real = photographs()
    if not backbone.size_divisibility:
        real = real[..., :147, :133]  # some networks pad otherwise where no stride divides a side
    images = {"random": random_images(), "real": real}
    differences = {
        kind: stage_differences(model.arch, classifier, backbone, *settings, images=batch)
        for kind, batch in images.items()
    }
    found = [(value, stage, k) for k, by in differences.items() for stage, value in by.items()]
    for value, stage, kind in found:
        if math.isnan(value):
            raise UserError(
                f"features of {stage} are not finite on {kind} images, so {source} is damaged or"
                " diverged; nothing was written"
            )
    beyond = [(value, stage, kind) for value, stage, kind in found if value > TOLERANCE]
    if not beyond:
        return Proof(differences)
    value, stage, kind = beyond[0]  # where the networks part
    classifier.double().normalize = Normalize(model.mean, model.std, torch.float64)
    backbone.double()
    exact = [
        difference
        for batch in images.values()
        for difference in stage_differences(
            model.arch, classifier, backbone, *settings, images=batch.double()
        ).values()
    ]
    same = all(difference <= _EXACT_TOLERANCE for difference in exact)  # NaN is not
    if not same or max(beyond)[0] > _NOISE:
        raise UserError(
            f"features of {stage} differ by {value:.2e} relative on {kind} images, more than"
            f" {TOLERANCE:.0e}; nothing was written"
        )
    note = (
        f"rounding to float32 alone makes {max(beyond)[0]:.1e} in this network; computed in"
        f" float64, the largest difference is {max(exact):.1e}"
    )
    return Proof(differences, (note,))


@torch.no_grad()
def stage_differences(
    arch: str,
    classifier: Classifier,
    backbone: nn.Module,
    pixel_mean: Sequence[float],
    pixel_std: Sequence[float],
    input_format: str,
    images: torch.Tensor,
) -> dict[str, float]:
    """Compare the stages of a classifier and a Detectron2 backbone on the same images.

    Each gets them its own way, so that the normalisation is compared too: the classifier RGB in
    [0, 1], the backbone what Detectron2 makes of the same image in [0, 255].

    Args:
        arch: registry name of both.
        classifier: the original network, whose own code runs.
        backbone: returns the stages by name.
        pixel_mean, pixel_std, input_format: as in a detection config.
        images: RGB, (N, 3, H, W) in [0, 1], of the networks' dtype.

    Returns:
        For each stage the largest absolute difference, divided by the largest absolute value;
        NaN if there are values that are not finite.

    Raises:
        UserError: a stage says the same to all images everywhere, so it proves nothing.
    """
    modes = [(module, module.training) for module in (classifier, backbone)]
    stages = get_architecture(arch).stages
    expected = own_features(arch, classifier.body.eval(), classifier.normalize(images))
    pixels = 255 * (images.flip(1) if input_format == "BGR" else images)
    mean, std = (torch.tensor(v, dtype=images.dtype).view(3, 1, 1) for v in (pixel_mean, pixel_std))
    got = backbone.eval()((pixels - mean) / std)
    for module, training in modes:
        module.train(training)
    for stage in stages:
        features = expected[stage.name]
        if not (features - features[:1, :, :1, :1]).any():  # NaN and Inf are another matter
            raise UserError(
                f"features of {stage.name} are the same for all images: the network is dead, or its"
                " weights were never filled; take another checkpoint; nothing was written"
            )
    return {s.name: _difference(expected[s.name], got[s.name]) for s in stages}


def _difference(expected: torch.Tensor, got: torch.Tensor) -> float:
    return float((got - expected).abs().max() / expected.abs().max())
