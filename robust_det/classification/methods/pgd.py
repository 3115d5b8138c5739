"""PGD-AT: the cross-entropy of the attack's examples (Madry et al. 2018, equation 2.1)."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch.nn import functional as F

from robust_det.attacks import Passes, TrainingAttack
from robust_det.classification.methods.cost import Cost
from robust_det.classification.methods.method import Inner, Kind, Method
from robust_det.classification.methods.trained import Trained
from robust_det.core.config.reading import CfgNode

__all__ = ["KIND", "PGDTraining"]


@dataclass(frozen=True)
class PGDTraining(Method):
    """Minimises the cross-entropy of the examples, and of clean images where there are some.

    Args:
        objective: what the attack maximises, a name of ``robust_det.attacks.OBJECTIVES``.
        label_smoothing: of the loss that is minimised alone.
    """

    objective: str = "cross_entropy"
    label_smoothing: float = 0.0

    def examples(self, inner: Inner, x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        with inner.attacked() as network:
            return inner.attack(inner.objective(network, y, self.objective), x, inner.noise)

    def loss(
        self, network: Trained, x: torch.Tensor, attacked: torch.Tensor, y: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        logits = network.together(x[: len(x) - len(attacked)], attacked)
        return F.cross_entropy(logits, y, label_smoothing=self.label_smoothing), logits

    def inner_passes(self, attack: TrainingAttack) -> Passes:
        return attack.passes

    def loss_passes(self, attacked: float) -> Cost:
        return Cost(1, 1)


def _build(cfg: CfgNode) -> PGDTraining:
    return PGDTraining(cfg.ATTACK.OBJECTIVE, cfg.OPTIM.LABEL_SMOOTHING)


KIND = Kind(_build, "Madry et al. 2018")
