"""What a network makes of images, once: from the cache of features where it is there."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import torch

from robust_det.classification.image_sets import CorruptImageError
from robust_det.core.errors import UserError
from robust_det.representations.given_images import GivenImages
from robust_det.transfer.features.cache import FeatureKey, cached_features
from robust_det.transfer.features.extraction import Features, extract
from robust_det.transfer.features.network import FeatureNetwork
from robust_det.visualization.networks import ShownBackbone

__all__ = ["Outputs", "cached_outputs", "kept_words"]


@dataclass(frozen=True)
class Outputs:
    """What a network makes of images.

    Attributes:
        values: (N, D) float32, on the CPU.
        kept: whether it was in the cache, so that the network did not run.
    """

    values: torch.Tensor
    kept: bool


def cached_outputs(
    backbone: ShownBackbone,
    images: GivenImages,
    what: Mapping[str, Any],
    network: Callable[[], FeatureNetwork],
    *,
    device: torch.device,
    batch_size: int,
) -> Outputs:
    """Return a network's outputs, kept under its weights, the images, and what is done to them.

    Args:
        backbone: whose file's hash counts.
        images: what it sees.
        what: is computed of them, in plain values, all that it depends on beside.
        network: makes what computes it.
        device, batch_size: where to run, and images a pass; both change values by rounding alone.

    Raises:
        UserError: an image cannot be decoded, or values are not finite.
    """
    model, ran = backbone.model, False

    def compute() -> Features:
        nonlocal ran
        ran = True
        return extract(
            network(), images.listed(), name=backbone.name, device=device, batch_size=batch_size
        )

    seen = {"size": images.size, "resize": images.size, "mean": model.mean, "std": model.std}
    key = FeatureKey(backbone.file.sha256, images.digest, {**seen, **what})
    try:
        outputs = cached_features(key, compute, what=f"images on {backbone.name}")
    except CorruptImageError as error:
        raise UserError(error.problem, "put a whole image in its place, or leave it out") from error
    return Outputs(outputs.values, not ran)


def kept_words(outputs: Mapping[str, Outputs], what: str) -> str:
    """Say what was in the cache.

    Args:
        outputs: of each network.
        what: such as ``features``.
    """
    kept = sum(one.kept for one in outputs.values())
    whose = "the backbone" if len(outputs) == 1 else f"all {len(outputs)} backbones"
    if kept == len(outputs):
        return f"The {what} of {whose} were kept from earlier; nothing was extracted."
    if not kept:
        return f"The {what} of {whose} were extracted, and are kept."
    return (
        f"The {what} of {kept} of {len(outputs)} backbones were kept from earlier; those of"
        f" {', '.join(name for name, one in outputs.items() if not one.kept)} were extracted."
    )
