"""The mean cross-entropy of a linear head, its gradient and the diagonal of its Hessian."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from robust_det.probes.head import BLOCK

__all__ = ["Point", "curvature", "evaluate"]


@dataclass(frozen=True)
class Point:
    """A head on scores, and the data's part of the objective there.

    Attributes:
        at: (K, R + 1) float64, the weights and, in the last column, the bias.
        loss: mean cross-entropy, in nats an image.
        gradient: (K, R + 1) float64, of the loss.
    """

    at: torch.Tensor
    loss: float
    gradient: torch.Tensor


def evaluate(scores: torch.Tensor, labels: torch.Tensor, at: torch.Tensor) -> Point:
    """Return loss and gradient; products in the scores' type, sums over blocks in float64.

    Args:
        scores: (N, R).
        labels: (N,).
        at: (K, R + 1) float64.
    """
    weight, bias = _parts(scores, at)
    gradient = torch.zeros_like(at)
    loss = torch.zeros((), dtype=torch.float64, device=at.device)
    for block, true in zip(scores.split(BLOCK), labels[:, None].split(BLOCK), strict=True):
        shares = torch.addmm(bias, block, weight.T)
        shares -= shares.amax(1, keepdim=True)
        of_true = shares.gather(1, true)
        # the other classes apart: where they have hardly a share, 1 - share rounds it away
        others = shares.exp_().scatter_(1, true, 0).sum(1, keepdim=True)
        total = others + of_true.exp()
        losses = torch.where(of_true == 0, others.log1p(), total.log() - of_true)
        loss += losses.sum(dtype=torch.float64)
        shares.scatter_(1, true, -others)
        shares /= total
        gradient[:, :-1] += shares.T @ block
        gradient[:, -1] += shares.sum(0)
    return Point(at, float(loss) / len(scores), gradient / len(scores))


def curvature(scores: torch.Tensor, at: torch.Tensor) -> torch.Tensor:
    """Return the diagonal of the Hessian of the loss, (K, R + 1) float64, not negative."""
    weight, bias = _parts(scores, at)
    out = torch.zeros_like(at)
    for block in scores.split(BLOCK):
        shares = torch.addmm(bias, block, weight.T).softmax(1)
        shares *= 1 - shares
        out[:, :-1] += shares.T @ block.square()
        out[:, -1] += shares.sum(0)
    return out / len(scores)


def _parts(scores: torch.Tensor, at: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    return at[:, :-1].to(scores.dtype), at[:, -1].to(scores.dtype)
