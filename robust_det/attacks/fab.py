"""FAB (Croce & Hein 2020, "Minimally distorted adversarial examples with a fast adaptive boundary
attack", algorithm 1), towards one class."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch

from robust_det.attacks.hyperplanes import to_hyperplane
from robust_det.attacks.interface import Noise, Objective, Passes, narrowed
from robust_det.attacks.steps import as_wide, ascent, evaluated
from robust_det.attacks.threat import ThreatModel
from robust_det.core.errors import UserError

__all__ = ["FAB"]

# the published settings: the most that a step is drawn to the image, how far beyond the boundary
# it goes, and the way that is left of an adversarial point when it goes back to the image
_ALPHA, _OVERSHOOT, _BACK = 0.1, 1.05, 0.9


@dataclass(frozen=True)
class FAB:
    """Steps to the boundary of a linear model of the objective, as near to the image as it can.

    The objective is above 0 where the attack has succeeded, such as
    :func:`robust_det.attacks.objectives.lead`. Points on the way may be out of the threat model;
    what is returned is the nearest success if it is in the threat model, else the image. The start
    is the image, so that nothing is random.

    It narrows with an objective that is done with an image, which does not change the others.

    Args:
        threat: whose norm measures distance, and what counts as success.
        steps: gradient steps, >= 1.

    Raises:
        UserError: a number is out of its range.
    """

    threat: ThreatModel
    steps: int = 100

    def __post_init__(self) -> None:
        if self.steps < 1:
            raise UserError(f"FAB needs steps >= 1, not {self.steps}")

    @property
    def passes(self) -> Passes:
        """What the attack costs an image at most."""
        return Passes(2 * self.steps, self.steps)

    def __call__(
        self,
        objective: Objective,
        images: torch.Tensor,
        noise: Noise = None,
        success: Callable[[torch.Tensor], torch.Tensor] | None = None,
    ) -> torch.Tensor:
        """Return adversarial examples.

        Args:
            objective: of images like these.
            images: (N, ...) float in [0, 1].
            noise: of no effect, as nothing is drawn.
            success: of images like these, (N,) which have succeeded, where that is more than the
                objective says; by default where it is above 0.

        Returns:
            Like ``images``: in [0, 1] and in the threat model around them; detached.

        Raises:
            UserError: the objective does not return one loss an image.
        """
        center = images.detach()
        if self.threat.eps == 0 or len(center) == 0:
            return center
        result, rows = center.clone(), torch.arange(len(center), device=center.device)
        x = best = center
        nearest = center.new_full((len(center),), torch.inf)
        for _ in range(self.steps):
            left = narrowed(objective)
            if left is not None:
                result[rows] = self._within(best, center)
                if len(left) == 0:
                    return result
                rows, center, x = rows[left], center[left], x[left]
                best, nearest = best[left], nearest[left]
            x = self._step(objective, x, center)
            with torch.no_grad():
                won = evaluated(objective, x) > 0 if success is None else success(x)
            far = self.threat.distance(x, center)
            nearer = won & (far < nearest)
            best = torch.where(as_wide(nearer, x), x, best)
            nearest = torch.where(nearer, far, nearest)
            x = torch.where(as_wide(won, x), center + _BACK * (x - center), x)
        result[rows] = self._within(best, center)
        return result

    def _step(self, objective: Objective, x: torch.Tensor, center: torch.Tensor) -> torch.Tensor:
        """Go beyond the boundary, partly from ``x`` and partly from the image."""
        losses, grad = ascent(objective, x)
        weight, here, image = grad.flatten(1), x.flatten(1), center.flatten(1)
        # of the linear model around x, at the image
        there = losses + (weight * (image - here)).sum(1)
        norm = self.threat.norm
        from_here = to_hyperplane(here, weight, losses, norm).view_as(x)
        from_image = to_hyperplane(image, weight, there, norm).view_as(x)
        zero = torch.zeros_like(x)
        long, short = (
            self.threat.distance(move, zero).clamp(min=1e-8) for move in (from_image, from_here)
        )
        alpha = as_wide((short / (short + long)).clamp(max=_ALPHA), x)
        ours = (x + _OVERSHOOT * from_here) * (1 - alpha)
        return (ours + (center + _OVERSHOOT * from_image) * alpha).clamp(0, 1)

    def _within(self, best: torch.Tensor, center: torch.Tensor) -> torch.Tensor:
        held = self.threat.holds(best, center)
        return torch.where(as_wide(held, best), best, center)
