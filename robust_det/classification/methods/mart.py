"""MART (Wang et al. 2020, section 3): misclassified images weigh more."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch.nn import functional as F

from robust_det.classification.methods.cost import Cost
from robust_det.classification.methods.method import Kind
from robust_det.classification.methods.pgd import PGDTraining
from robust_det.classification.methods.trades import divergence
from robust_det.classification.methods.trained import Trained
from robust_det.core.config.reading import CfgNode

__all__ = ["KIND", "Mart", "boosted_cross_entropy"]


def boosted_cross_entropy(
    logits: torch.Tensor, y: torch.Tensor, label_smoothing: float = 0.0
) -> torch.Tensor:
    """Return the paper's BCE, -log p_y - log(1 - max of p_k over k other than y): (N,).

    Smoothing is of its first term, the cross-entropy.
    """
    first = F.cross_entropy(logits, y, reduction="none", label_smoothing=label_smoothing)
    rival = logits.scatter(1, y[:, None], -torch.inf).argmax(1)
    # 1 - p_k is the sum of the others, without the cancellation where p_k is near 1
    others = logits.scatter(1, rival[:, None], -torch.inf).logsumexp(1)
    return first + logits.logsumexp(1) - others


@dataclass(frozen=True)
class Mart(PGDTraining):
    """Minimises BCE(p(x'), y) + lambda KL(p(x) || p(x')) (1 - p_y(x)); x' is PGD-AT's.

    All of it is differentiated, the weight as well. Images that stay clean have a cross-entropy.

    Args:
        objective, label_smoothing: see :class:`.PGDTraining`.
        weight: the paper's lambda, above 0.
    """

    weight: float = 5.0

    def loss(
        self, network: Trained, x: torch.Tensor, attacked: torch.Tensor, y: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        still, smoothing = len(x) - len(attacked), self.label_smoothing
        clean, moved = network.clean(x), network(attacked)
        unsure = 1 - clean[still:].softmax(1).gather(1, y[still:, None]).squeeze(1)
        losses = boosted_cross_entropy(moved, y[still:], smoothing)
        losses = losses + self.weight * divergence(clean[still:], moved) * unsure
        natural = F.cross_entropy(
            clean[:still], y[:still], reduction="sum", label_smoothing=smoothing
        )
        return (natural + losses.sum()) / len(x), torch.cat([clean[:still], moved])

    def loss_passes(self, attacked: float) -> Cost:
        return Cost(1 + attacked, 1 + attacked)


def _build(cfg: CfgNode) -> Mart:
    return Mart(cfg.ATTACK.OBJECTIVE, cfg.OPTIM.LABEL_SMOOTHING, cfg.TRAIN.MART_LAMBDA)


KIND = Kind(
    _build,
    "Wang et al. 2020",
    key="TRAIN.MART_LAMBDA",
    usual="the weight of its second term, 5 or 6 in the paper",
)
