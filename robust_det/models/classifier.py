"""A classifier with its normalisation inside: images in [0, 1] in, logits out."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import nn

from robust_det.models.card import ModelCard
from robust_det.models.registry import get_architecture

__all__ = ["IMAGENET_MEAN", "IMAGENET_STD", "Classifier", "Normalize", "build_classifier"]

IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)


class Normalize(nn.Module):
    """Subtract the mean and divide by the standard deviation, per channel.

    Args:
        mean, std: three values each, RGB, in [0, 1] pixel units.
        dtype: of the computation.
    """

    mean: torch.Tensor
    std: torch.Tensor

    def __init__(
        self, mean: Sequence[float], std: Sequence[float], dtype: torch.dtype = torch.float32
    ) -> None:
        super().__init__()
        # not persistent: a checkpoint states them once, beside the weights
        for name, values in (("mean", mean), ("std", std)):
            tensor = torch.tensor(values, dtype=dtype).view(1, 3, 1, 1)
            self.register_buffer(name, tensor, persistent=False)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Normalise (N, 3, H, W) RGB images in [0, 1]."""
        return (images - self.mean) / self.std


class Classifier(nn.Module):
    """Normalisation followed by a network, so that eps is always in [0, 1] pixel units.

    Args:
        body: takes normalised images (N, 3, H, W), returns logits (N, classes).
        mean, std: see :class:`Normalize`.

    Attributes:
        card: what is known about the weights, if they were read from a file.
    """

    card: ModelCard | None = None

    def __init__(
        self,
        body: nn.Module,
        mean: Sequence[float] = IMAGENET_MEAN,
        std: Sequence[float] = IMAGENET_STD,
    ) -> None:
        super().__init__()
        self.normalize = Normalize(mean, std)
        self.body = body

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Return logits (N, classes) of RGB images (N, 3, H, W) in [0, 1]."""
        return self.body(self.normalize(images))


def build_classifier(
    arch: str,
    num_classes: int,
    mean: Sequence[float] = IMAGENET_MEAN,
    std: Sequence[float] = IMAGENET_STD,
) -> Classifier:
    """Build a randomly initialised classifier of a registered architecture.

    Raises:
        UserError: the architecture is unknown.
    """
    return Classifier(get_architecture(arch).build(num_classes), mean, std)
