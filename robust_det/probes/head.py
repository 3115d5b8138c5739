"""A linear classifier of features."""

from __future__ import annotations

from dataclasses import dataclass

import torch

__all__ = ["BLOCK", "LinearHead"]

# images at once: their logits fit the cache, and sums over blocks are added in float64
BLOCK = 2048


@dataclass(frozen=True)
class LinearHead:
    """Logits are ``features @ weight.T + bias``, as in :class:`torch.nn.Linear`.

    Attributes:
        weight: (K, D), of the features' type.
        bias: (K,).
    """

    weight: torch.Tensor
    bias: torch.Tensor

    def to(self, device: torch.device) -> LinearHead:
        """Return it on a device."""
        return LinearHead(self.weight.to(device), self.bias.to(device))

    def predict(self, features: torch.Tensor) -> torch.Tensor:
        """Return the class of the highest logit, of equals the first, (N,) int64, of (N, D)."""
        blocks = features.split(BLOCK)
        return torch.cat([torch.addmm(self.bias, b, self.weight.T).argmax(1) for b in blocks])
