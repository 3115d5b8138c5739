"""Projected gradient descent (Madry et al. 2018), as Salman et al. 2020 train and test with it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Self

import torch

from robust_det.attacks.interface import Noise, Objective, Passes
from robust_det.attacks.steps import as_wide, ascent, evaluated, random_start
from robust_det.attacks.threat import ThreatModel
from robust_det.core.errors import UserError

__all__ = ["PGD"]


@dataclass(frozen=True)
class PGD:
    """Steps of steepest ascent on an objective, each projected back into the threat model.

    The cost is ``restarts * steps`` forward and input-gradient passes, and one more forward pass a
    restart where iterates or restarts are compared.

    Args:
        threat: where to stay.
        steps: gradient steps, >= 0.
        step_size: in [0, 1] pixel units.
        random_start: start from a random point of the threat model instead of the image.
        best_iterate: return, per image, the iterate of the highest objective instead of the last
            one (``use_best`` of the `robustness` library); of equals the later. One whose
            objective is NaN is never the best.
        resolution: losses of iterates that differ by no more than this share of the higher one are
            equal: what the objective's own arithmetic cannot tell apart, in [0, 1).
        restarts: times to start, >= 1. The first is the attack without restarts, bit for bit, the
            others start from random points; each image keeps the result of the highest objective.

    Raises:
        UserError: a number is out of its range.
    """

    threat: ThreatModel
    steps: int
    step_size: float
    random_start: bool = False
    best_iterate: bool = False
    restarts: int = 1
    resolution: float = 0.0

    def __post_init__(self) -> None:
        for name, lowest in (("steps", 0), ("step_size", 0), ("restarts", 1)):
            if not lowest <= getattr(self, name) < float("inf"):
                raise UserError(f"PGD needs {name} >= {lowest}, not {getattr(self, name)}")
        if not 0 <= self.resolution < 1:
            raise UserError(f"PGD needs a resolution in [0, 1), not {self.resolution}")

    @property
    def passes(self) -> Passes:
        """What the attack costs an image at most."""
        compared = self.restarts > 1 or (self.best_iterate and self.steps > 0)
        gradients = self.restarts * self.steps
        return Passes(gradients + self.restarts * compared, gradients)

    def scaled(self, share: float) -> Self:
        """Return the attack whose eps and step size are this share of what they were."""
        threat = replace(self.threat, eps=share * self.threat.eps)
        return replace(self, threat=threat, step_size=share * self.step_size)

    def __call__(
        self,
        objective: Objective,
        images: torch.Tensor,
        noise: Noise = None,
        start: torch.Tensor | None = None,
        steps: torch.Tensor | None = None,
    ) -> torch.Tensor:
        """Return adversarial examples.

        Args:
            objective: of images like these; always gets all of them, in their order.
            images: (N, ...) float in [0, 1].
            noise: the source of random starts; torch's global generator by default.
            start: like ``images``, where to start first, a point of the threat model; by default
                the image, or a random point with ``random_start``.
            steps: (N,) steps of each image, 0 to ``self.steps``, after which it stays where it is;
                by default ``self.steps`` for all.

        Returns:
            Like ``images``: in [0, 1] and in the threat model around them; detached.

        Raises:
            UserError: the objective does not return one loss an image, or ``steps`` does not fit.
        """
        center = images.detach()
        rounds = self.steps if steps is None else self._rounds(steps, len(center))
        if self.threat.eps == 0:
            return center
        compared = self.restarts > 1 or (self.best_iterate and rounds > 0)
        nothing = center.new_full((len(center),), -torch.inf)
        best, highest = center, nothing
        for restart in range(self.restarts):
            if restart == 0 and start is not None:
                x = start.detach()
            elif restart == 0 and not self.random_start:
                x = center
            else:
                x = random_start(self.threat, center, noise)
            own, own_highest = center, nothing
            for i in range(rounds):
                losses, grad = ascent(objective, x)
                if self.best_iterate:
                    own, own_highest = self._later(x, losses, own, own_highest)
                moved = self.threat.project(self.threat.step(x, grad, self.step_size), center)
                x = moved if steps is None else torch.where(as_wide(i < steps, x), moved, x)
            if not compared:
                return x
            with torch.no_grad():
                losses = evaluated(objective, x)
            own, own_highest = self._later(x, losses, own, own_highest)
            best, highest = _chosen(own_highest > highest, own, own_highest, best, highest)
        return best

    def _later(
        self, x: torch.Tensor, losses: torch.Tensor, best: torch.Tensor, highest: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Keep the later iterate unless its loss is lower by more than the resolution.

        At small eps the losses in bf16 are mostly noise, whose maximum is any iterate, while steps
        of ascent lead upwards. The bar stays the highest loss seen, so that slow descent adds up.
        """
        bar = highest - self.resolution * highest.abs().nan_to_num(posinf=0.0)
        kept = torch.where(as_wide(losses >= bar, x), x, best)
        return kept, torch.fmax(losses, highest)

    def _rounds(self, steps: torch.Tensor, images: int) -> int:
        """The largest of the images' own step counts."""
        lowest, highest = (int(n) for n in steps.aminmax()) if steps.numel() else (0, 0)
        if steps.shape != (images,) or lowest < 0 or highest > self.steps:
            raise UserError(
                f"steps are one number an image, ({images},), from 0 to {self.steps}, not"
                f" {tuple(steps.shape)} from {lowest} to {highest}"
            )
        return highest


def _chosen(
    better: torch.Tensor,
    x: torch.Tensor,
    losses: torch.Tensor,
    best: torch.Tensor,
    highest: torch.Tensor,
) -> tuple[torch.Tensor, torch.Tensor]:
    """Replace the best images and their losses where there are better ones."""
    return torch.where(as_wide(better, x), x, best), torch.where(better, losses, highest)
