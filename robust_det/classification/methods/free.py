"""Free adversarial training (Shafahi et al. 2019, algorithm 1): one backward pass for both sides.

Each batch comes m times. A step descends by the gradient of the weights and ascends by that of the
image, from one backward pass; the perturbation goes on in the next step, and in the next batch.
"""

from __future__ import annotations

from collections.abc import Generator, Mapping
from contextlib import closing
from dataclasses import replace
from fractions import Fraction
from typing import Any

import torch
from torch.nn import functional as F

from robust_det.attacks import PGD, Passes, TrainingAttack
from robust_det.classification.methods.cost import Cost
from robust_det.classification.methods.method import Inner, Kind, Method
from robust_det.classification.methods.trained import Trained
from robust_det.core.config.reading import CfgNode
from robust_det.core.errors import UserError
from robust_det.data.classification.image_list import Batch

__all__ = ["KIND", "Free", "replayed", "replays_of"]


class Free(Method):
    """Minimises the cross-entropy of images under a perturbation that each step moves on.

    A perturbation belongs to a place in the batch, begins at 0, and never leaves the threat model
    around the image that it is added to.

    Args:
        label_smoothing: of the cross-entropy.
    """

    def __init__(self, label_smoothing: float = 0.0) -> None:
        self.label_smoothing = label_smoothing
        self._perturbation: torch.Tensor | None = None
        # of the passes of this step: images, examples that get gradients, attack
        self._passes: list[tuple[torch.Tensor, torch.Tensor, PGD]] = []

    def examples(self, inner: Inner, x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        before = sum(len(images) for images, _, _ in self._passes)
        moved = x
        if self._perturbation is not None:
            moved = x + self._perturbation[before : before + len(x)].to(x)
            moved = inner.attack.threat.project(moved, x)
        moved = moved.detach().clone(memory_format=torch.preserve_format).requires_grad_(True)
        if not isinstance(inner.attack, PGD):
            raise UserError("free training steps as PGD does; give it PGD")
        self._passes.append((x, moved, inner.attack))
        return moved

    def loss(
        self, network: Trained, x: torch.Tensor, attacked: torch.Tensor, y: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        logits = network.together(x[: len(x) - len(attacked)], attacked)
        return F.cross_entropy(logits, y, label_smoothing=self.label_smoothing), logits

    def end_step(self) -> None:
        found = []
        for x, moved, attack in self._passes:
            assert moved.grad is not None
            # what overflowed tells no direction
            grad = moved.grad.nan_to_num(nan=0.0, posinf=0.0, neginf=0.0)
            further = attack.threat.step(moved.detach(), grad, attack.step_size)
            found.append(attack.threat.project(further, x) - x)
        self._perturbation = torch.cat(found)
        self._passes.clear()

    def inner_passes(self, attack: TrainingAttack) -> Passes:
        return Passes(0, 0)

    def loss_passes(self, attacked: float) -> Cost:
        return Cost(1, 1)

    def state_dict(self) -> dict[str, Any]:
        if self._perturbation is None:
            return {}
        return {"perturbation": self._perturbation.cpu()}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        self._perturbation = state.get("perturbation")


def replays_of(cfg: CfgNode) -> int:
    """Return how often each batch comes in a row."""
    free = cfg.TRAIN.METHOD == "free" and cfg.ATTACK.EPS > 0
    return int(cfg.TRAIN.REPLAYS) if free else 1


def replayed(
    batches: Generator[Batch, None, None], times: int, done: int
) -> Generator[Batch, None, None]:
    """Give each batch so many times; of the first, ``done`` are done already."""
    with closing(batches):
        for batch in batches:
            for number in range(done, times):
                # an image that could not be read counts once
                yield batch if number == 0 else replace(batch, corrupt=[])
            done = 0


def _build(cfg: CfgNode) -> Free:
    return Free(cfg.OPTIM.LABEL_SMOOTHING)


KIND = Kind(
    _build,
    "Shafahi et al. 2019",
    step_size=Fraction(1),
    key="TRAIN.REPLAYS",
    usual="how often each batch is trained on in a row, 4 in the paper",
    idle=(
        "ATTACK.STEPS",
        "ATTACK.RANDOM_START",
        "ATTACK.ITERATE",
        "ATTACK.OBJECTIVE",
        "ATTACK.FOLD_NORMS",
        "TRAIN.AWP_GAMMA",
    ),
    fixed={"ATTACK.NAME": "pgd"},
)
