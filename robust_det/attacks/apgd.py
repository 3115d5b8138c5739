"""Auto-PGD (Croce & Hein 2020, "Reliable evaluation of adversarial robustness", section 3)."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from typing import Self

import torch

from robust_det.attacks.interface import Noise, Objective, Passes, narrowed
from robust_det.attacks.steps import as_wide, ascent, evaluated, random_start
from robust_det.attacks.threat import ThreatModel
from robust_det.core.errors import UserError

__all__ = ["APGD"]

# the share of a step, against that of the step before (the paper's alpha)
_MOMENTUM = 0.75
# of the steps since the last checkpoint, how many have to raise the objective (the paper's rho)
_RISING = 0.75


@dataclass(frozen=True)
class APGD:
    """Projected ascent with momentum that halves its steps where they no longer help.

    Steps begin at twice eps. At checkpoints, which draw closer together, an image's step is halved
    if too few of the last ones raised its objective, or if neither its best value nor its step has
    changed since the last checkpoint; it then starts again from its best point. Each image keeps
    the point of its highest objective.

    It narrows with an objective that is done with an image, which does not change the others.

    Args:
        threat: where to stay.
        steps: gradient steps, >= 1.
        random_start: start from a random point of the threat model instead of the image.
        resolution: an objective that is lower than the highest by no more than this share of it is
            as high: what its own arithmetic cannot tell apart, in [0, 1); see :class:`.PGD`.

    Raises:
        UserError: a number is out of its range.
    """

    threat: ThreatModel
    steps: int = 100
    random_start: bool = True
    resolution: float = 0.0

    def __post_init__(self) -> None:
        if self.steps < 1:
            raise UserError(f"APGD needs steps >= 1, not {self.steps}")
        if not 0 <= self.resolution < 1:
            raise UserError(f"APGD needs a resolution in [0, 1), not {self.resolution}")

    @property
    def passes(self) -> Passes:
        """What the attack costs an image at most."""
        return Passes(self.steps + 1, self.steps)

    @property
    def checkpoints(self) -> list[int]:
        """After which steps the size of steps is looked at; none is after the last."""
        # in percent of the steps: 22, 41, 57, 70, ...
        at, width, found = 22, 22, []
        while at < 100:
            found.append(-(-at * self.steps // 100))
            width = max(width - 3, 6)
            at += width
        return sorted({step for step in found if step < self.steps})

    def scaled(self, share: float) -> Self:
        """Return the attack whose eps, and with it the steps, are this share of what they were."""
        return replace(self, threat=replace(self.threat, eps=share * self.threat.eps))

    def __call__(
        self,
        objective: Objective,
        images: torch.Tensor,
        noise: Noise = None,
        start: torch.Tensor | None = None,
    ) -> torch.Tensor:
        """Return adversarial examples.

        Args:
            objective: of images like these.
            images: (N, ...) float in [0, 1].
            noise: the source of random starts; torch's global generator by default.
            start: like ``images``, where to start, a point of the threat model; by default a
                random point, or the image without ``random_start``.

        Returns:
            Like ``images``: in [0, 1] and in the threat model around them; detached.

        Raises:
            UserError: the objective does not return one loss an image.
        """
        center = images.detach()
        if self.threat.eps == 0 or len(center) == 0:
            return center
        result = center.clone()
        if start is not None:
            first = start.detach()
        else:
            first = random_start(self.threat, center, noise) if self.random_start else center
        state = self._start(objective, center, first)
        checkpoints, last = self.checkpoints, 0
        for step in range(1, self.steps + 1):
            rows = narrowed(objective)
            if rows is not None:
                result[state.rows] = state.best
                state = state.take(rows)
                if len(rows) == 0:
                    return result
            state = self._stepped(objective, state, step)
            if step in checkpoints:
                state, last = _checked(state, step - last), step
        result[state.rows] = state.best
        return result

    def _start(self, objective: Objective, center: torch.Tensor, x: torch.Tensor) -> _State:
        losses, grad = ascent(objective, x)
        wide = as_wide(losses, x)
        return _State(
            rows=torch.arange(len(x), device=x.device),
            center=center,
            x=x,
            before=x,
            losses=losses,
            grad=grad,
            best=torch.where(as_wide(losses.isnan(), x), center, x),
            best_grad=grad,
            highest=losses.nan_to_num(nan=-torch.inf),
            size=torch.full_like(wide, 2 * self.threat.eps, dtype=x.dtype),
            rises=torch.zeros_like(losses, dtype=torch.long),
            highest_then=losses.nan_to_num(nan=-torch.inf),
            halved_then=torch.ones_like(losses, dtype=torch.bool),
        )

    def _stepped(self, objective: Objective, state: _State, step: int) -> _State:
        x, center, threat = state.x, state.center, self.threat
        moved = threat.project(threat.step(x, state.grad, state.size), center)
        if step > 1:
            mixed = x + _MOMENTUM * (moved - x) + (1 - _MOMENTUM) * (x - state.before)
            moved = threat.project(mixed, center)
        if step < self.steps:
            losses, grad = ascent(objective, moved)
        else:  # from there no step is taken
            with torch.no_grad():
                losses, grad = evaluated(objective, moved), state.grad
        better = losses > self._bar(state.highest)
        return replace(
            state,
            x=moved,
            before=x,
            losses=losses,
            grad=grad,
            rises=state.rises + (losses > self._bar(state.losses)),
            best=torch.where(as_wide(better, x), moved, state.best),
            best_grad=torch.where(as_wide(better, x), grad, state.best_grad),
            highest=torch.fmax(losses, state.highest),
        )

    def _bar(self, losses: torch.Tensor) -> torch.Tensor:
        """Return what is as high as these, as far as the objective can tell."""
        return losses - self.resolution * losses.abs().nan_to_num(posinf=0.0)


@dataclass(frozen=True)
class _State:
    """Where the attack stands, all by image.

    Args:
        rows: which of the images these are.
        center: the images.
        x, losses, grad: the last point, its objective and gradient.
        before: the point before it.
        best, highest, best_grad: the point of the highest objective, with both.
        size: of steps, (N, 1, ...).
        rises: how many steps since the last checkpoint raised the objective.
        highest_then: ``highest`` at the last checkpoint.
        halved_then: whether the steps were halved there.
    """

    rows: torch.Tensor
    center: torch.Tensor
    x: torch.Tensor
    before: torch.Tensor
    losses: torch.Tensor
    grad: torch.Tensor
    best: torch.Tensor
    best_grad: torch.Tensor
    highest: torch.Tensor
    size: torch.Tensor
    rises: torch.Tensor
    highest_then: torch.Tensor
    halved_then: torch.Tensor

    def take(self, rows: torch.Tensor) -> _State:
        """Return the state of some of the images."""
        return _State(**{field.name: getattr(self, field.name)[rows] for field in fields(self)})


def _checked(state: _State, width: int) -> _State:
    """Halve the steps of the images that need it, a number of steps after the last checkpoint."""
    # the published code halves at equality, the paper below it
    few = state.rises <= _RISING * width
    stuck = ~state.halved_then & (state.highest <= state.highest_then)
    halved = few | stuck
    wide = as_wide(halved, state.x)
    return replace(
        state,
        x=torch.where(wide, state.best, state.x),
        grad=torch.where(wide, state.best_grad, state.grad),
        size=torch.where(wide, state.size / 2, state.size),
        rises=torch.zeros_like(state.rises),
        highest_then=state.highest,
        halved_then=halved,
    )
