"""The network in a step's own passes, as the losses of the methods see it."""

from __future__ import annotations

import torch
from torch import nn

from robust_det.classification.methods.separate_norms import CleanNorms
from robust_det.core.device import autocast

__all__ = ["Trained"]


class Trained:
    """Gives the logits (N, K), in float32, of images (N, 3, H, W) in [0, 1].

    Args:
        network: the classifier, or DDP around it; in the mode it is in.
        amp_dtype: autocast to this type; None for its own precision.
        norms: those of clean images, if they are separate.
    """

    def __init__(
        self,
        network: nn.Module,
        amp_dtype: torch.dtype | None = None,
        norms: CleanNorms | None = None,
    ) -> None:
        self._network, self._dtype, self._norms = network, amp_dtype, norms

    def __call__(self, x: torch.Tensor) -> torch.Tensor:
        """Return the logits of attacked images."""
        with autocast(x.device, self._dtype):
            logits: torch.Tensor = self._network(x)
        return logits.float()

    def clean(self, x: torch.Tensor) -> torch.Tensor:
        """Return the logits of clean images."""
        if self._norms is None:
            return self(x)
        with autocast(x.device, self._dtype):
            logits = self._norms.logits(self._network, x)
        return logits.float()

    def together(self, clean: torch.Tensor, attacked: torch.Tensor) -> torch.Tensor:
        """Return the logits of both, the clean ones first: of one batch, or of one each where
        norms are separate."""
        if not len(clean):
            return self(attacked)
        if self._norms is None:
            return self(torch.cat([clean, attacked]))
        return torch.cat([self.clean(clean), self(attacked)])
