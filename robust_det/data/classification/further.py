"""What may follow the crop of a training image: RandAugment, lighting noise, a part erased."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torchvision.transforms import v2

__all__ = ["Lighting", "Step", "further_steps"]

Step = Callable[[torch.Tensor], torch.Tensor]  # (3, H, W) RGB, uint8, to the same

# eigenvalues and, as columns, eigenvectors of the covariance of ImageNet's RGB pixels in [0, 1], as
# fb.resnet.torch has published them (datasets/imagenet.lua); the `robustness` library has the same
_EIGENVALUES = torch.tensor([0.2175, 0.0188, 0.0045])
_EIGENVECTORS = torch.tensor(
    [[-0.5675, 0.7192, 0.4009], [-0.5808, -0.0045, -0.8140], [-0.5836, -0.6948, 0.4203]]
)
# ImageNet's mean colour, which Zhong et al. 2020 erase to in one of their variants
_ERASED = (124, 116, 104)


@dataclass(frozen=True)
class Lighting:
    """One colour added to all of an image, along the main axes of ImageNet's colours (Krizhevsky et
    al. 2012, section 4.1).

    Args:
        std: of the Gaussian that multiplies each eigenvalue; 0.1 in the paper.
    """

    std: float

    def __call__(self, image: torch.Tensor) -> torch.Tensor:
        """Shift the levels, to whole ones within [0, 255]; drawn from torch's generator."""
        colour = _EIGENVECTORS @ (torch.randn(3) * self.std * _EIGENVALUES)
        levels = colour.mul(255).round().to(torch.int16)[:, None, None]
        return image.to(torch.int16).add_(levels).clamp_(0, 255).to(torch.uint8)


def further_steps(
    rand_augment: tuple[int, int] = (0, 0), lighting: float = 0.0, erasing: float = 0.0
) -> list[Step]:
    """Return what follows the crop, in the order of its application.

    Args:
        rand_augment: operations an image, 0 for none, and their magnitude of 0 to 30 (Cubuk et al.
            2020); torchvision's fourteen, with its ranges.
        lighting: see :class:`Lighting`; 0 is none.
        erasing: share of the images of which a rectangle gets ImageNet's mean colour, of 0.02 to
            0.33 of the area (Zhong et al. 2020).
    """
    operations, magnitude = rand_augment
    steps = list[Step]()
    if operations > 0:
        steps.append(v2.RandAugment(operations, magnitude))
    if lighting > 0:
        steps.append(Lighting(lighting))
    if erasing > 0:
        steps.append(v2.RandomErasing(erasing, value=_ERASED))
    return steps
