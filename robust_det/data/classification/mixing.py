"""Mixup and CutMix: pairs of images of a batch, and targets that say how much of which."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torchvision.transforms import v2

from robust_det.core.errors import UserError
from robust_det.core.seeding import mixed_seed, seeded

__all__ = ["Mixing"]

_TAG = 1  # random starts are drawn by the same numbers without it


@dataclass(frozen=True)
class Mixing:
    """Mixes each image of a batch with the one before it.

    Where both kinds are on, each batch is of one of them, by the toss of a coin. A batch has one
    share, as in the authors' code of both.

    Args:
        mixup: alpha of mixup's Beta distribution of shares (Zhang et al. 2018); 0 is off.
        cutmix: that of CutMix (Yun et al. 2019); 0 is off.
        classes: K, of the network's outputs.
    """

    mixup: float
    cutmix: float
    classes: int

    def __call__(
        self, images: torch.Tensor, targets: torch.Tensor, *key: int
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Return images in [0, 1], float32, or, of CutMix, of their own type; and targets (N, K).

        Args:
            images: (N, 3, H, W) uint8, or float in [0, 1].
            targets: (N,) class indices.
            key: what all draws are a function of.

        Raises:
            UserError: the targets are soft already, or of one image, which has no other.
        """
        if targets.ndim != 1 or targets.is_floating_point():
            raise UserError(
                f"mixup and CutMix take one class an image, (N,), not targets"
                f" {tuple(targets.shape)} of {targets.dtype}, which are soft already; give hard"
                " labels"
            )
        if len(targets) < 2:
            raise UserError(
                "mixup and CutMix mix the images of a process, and it has one a batch; raise"
                " TRAIN.BATCH_SIZE"
            )
        with seeded(mixed_seed(*key, _TAG)):
            both = self.mixup > 0 and self.cutmix > 0
            if self.mixup > 0 and not (both and torch.rand(()) < 0.5):
                images = v2.functional.to_dtype(images, torch.float32, scale=True)
                mixed = v2.MixUp(alpha=self.mixup, num_classes=self.classes)(images, targets)
            else:
                mixed = v2.CutMix(alpha=self.cutmix, num_classes=self.classes)(images, targets)
        mixed_images, soft = mixed
        return mixed_images, soft
