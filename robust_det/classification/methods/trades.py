"""TRADES (Zhang et al. 2019, equation 5): accuracy on images, and equal answers around them."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch.nn import functional as F

from robust_det.attacks import Noise, Passes, ThreatModel, TrainingAttack
from robust_det.attacks.objectives import LogitLoss
from robust_det.classification.methods.cost import Cost
from robust_det.classification.methods.method import Inner, Kind, Method
from robust_det.classification.methods.trained import Trained
from robust_det.core.config.reading import CfgNode
from robust_det.core.device import autocast

__all__ = ["KIND", "Trades", "divergence"]

# standard deviation of the start around the image: there itself the divergence has no slope
_START = 1e-3


def divergence(clean: torch.Tensor, attacked: torch.Tensor) -> torch.Tensor:
    """Return KL(p || q) of an image's probabilities p and its example's q, from logits: (N,)."""
    p, q = clean.log_softmax(1), attacked.log_softmax(1)
    return F.kl_div(q, p, reduction="none", log_target=True).sum(1)


@dataclass(frozen=True)
class Trades(Method):
    """Minimises CE(p(x), y) + beta KL(p(x) || p(x')), where x' maximises the second term.

    The paper's surrogate loss of two outputs is the KL divergence, as in its experiments, and
    beta its 1 / lambda. Both terms are differentiated by both outputs. Of an image that stays
    clean the second term is 0.

    Args:
        beta: above 0; 6 in the paper.
        random_start: let x' start anywhere in the ball, not beside the image.
        label_smoothing: of the cross-entropy.
    """

    beta: float
    random_start: bool = False
    label_smoothing: float = 0.0

    def examples(self, inner: Inner, x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        start = None
        if not self.random_start:
            start = self.start(inner.attack.threat, x, inner.noise)
        with inner.attacked() as network:
            with torch.no_grad(), autocast(x.device, inner.amp_dtype):
                clean = network(x).float()
            objective = inner.objective(network, y, _away_from(clean))
            return inner.attack(objective, x, inner.noise, start)

    def start(self, threat: ThreatModel, x: torch.Tensor, noise: Noise) -> torch.Tensor:
        """Return points of the threat model that are close to images."""
        generator = noise if isinstance(noise, torch.Generator) else None
        beside = torch.empty_like(x).normal_(0, _START, generator=generator).add_(x)
        return threat.project(beside, x)

    def loss(
        self, network: Trained, x: torch.Tensor, attacked: torch.Tensor, y: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        still = len(x) - len(attacked)
        clean, moved = network.clean(x), network(attacked)
        natural = F.cross_entropy(clean, y, label_smoothing=self.label_smoothing)
        robust = divergence(clean[still:], moved).sum() / len(x)
        return natural + self.beta * robust, torch.cat([clean[:still], moved])

    def inner_passes(self, attack: TrainingAttack) -> Passes:
        forward, backward = attack.passes
        return Passes(forward + 1, backward)

    def loss_passes(self, attacked: float) -> Cost:
        return Cost(1 + attacked, 1 + attacked)


def _away_from(clean: torch.Tensor) -> LogitLoss:
    """Return the divergence from given logits as a loss that an attack maximises."""

    def loss(
        logits: torch.Tensor, targets: torch.Tensor, towards: torch.Tensor | None = None
    ) -> torch.Tensor:
        return divergence(clean, logits)

    return loss


def _build(cfg: CfgNode) -> Trades:
    return Trades(cfg.TRAIN.TRADES_BETA, cfg.ATTACK.RANDOM_START, cfg.OPTIM.LABEL_SMOOTHING)


KIND = Kind(
    _build,
    "Zhang et al. 2019",
    key="TRAIN.TRADES_BETA",
    usual="the weight of its second term, 6 in the paper",
    idle=("ATTACK.OBJECTIVE",),
)
