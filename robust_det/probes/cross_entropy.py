"""The mean cross-entropy of a linear head, its gradient, and where it curves."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from robust_det.probes.head import BLOCK

__all__ = ["Curvature", "Point", "curvature", "evaluate"]


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


@dataclass(frozen=True)
class Curvature:
    """What is known of the Hessian of the loss.

    Attributes:
        diagonal: (K, R + 1) float64, not negative.
        images: (K, M) int64, for each class those that its block of the Hessian has most of.
        weights: (K, M) what they weigh there: p (1 - p) of the class's probability.
        share: of all weights, what these are together.
    """

    diagonal: torch.Tensor
    images: torch.Tensor
    weights: torch.Tensor
    share: float


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


def curvature(scores: torch.Tensor, at: torch.Tensor, kept: int) -> Curvature:
    """Return the curvature at a head (K, R + 1) on scores (N, R), with so many images a class."""
    weight, bias = _parts(scores, at)
    diagonal = torch.zeros_like(at)
    weights = scores.new_empty(len(at), 0)
    images = torch.empty(len(at), 0, dtype=torch.int64, device=at.device)
    first = 0
    for block in scores.split(max(BLOCK, 4 * kept)):
        shares = torch.addmm(bias, block, weight.T).softmax(1)
        shares *= 1 - shares
        diagonal[:, :-1] += shares.T @ block.square()
        diagonal[:, -1] += shares.sum(0)
        these = torch.arange(first, first + len(block), device=at.device).expand(len(at), -1)
        weights, images = torch.cat([weights, shares.T], 1), torch.cat([images, these], 1)
        weights, places = weights.topk(min(kept, weights.shape[1]), sorted=False)
        images = images.gather(1, places)
        first += len(block)
    share = float(weights.sum(dtype=torch.float64) / diagonal[:, -1].sum())
    return Curvature(diagonal / len(scores), images, weights, share)


def _parts(scores: torch.Tensor, at: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    return at[:, :-1].to(scores.dtype), at[:, -1].to(scores.dtype)
