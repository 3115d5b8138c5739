"""The memory of L-BFGS (Nocedal 1980; Nocedal & Wright 2006, algorithm 7.4)."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

import torch

__all__ = ["Memory"]


class Memory:
    """An approximate inverse of the Hessian from the last steps.

    Args:
        inverse: a first approximation, symmetric and positive, that gives its product with a
            gradient; it is scaled by the last step that is added.
        kept: how many steps.
    """

    def __init__(self, inverse: Callable[[torch.Tensor], torch.Tensor], kept: int) -> None:
        self.inverse, self._kept = inverse, kept
        self._steps: deque[tuple[torch.Tensor, torch.Tensor, float]] = deque(maxlen=kept)
        self._scale = 1.0

    def moved(self, inverse: Callable[[torch.Tensor], torch.Tensor], more: torch.Tensor) -> Memory:
        """Return the memory of an objective that has another diagonal quadratic term.

        Args:
            inverse: as above, of the other objective.
            more: what its Hessian has more on the diagonal, of the parameters' shape.
        """
        memory = Memory(inverse, self._kept)
        for step, change, _ in self._steps:
            memory._keep(step, change + more * step)
        return memory

    def add(self, step: torch.Tensor, change: torch.Tensor) -> None:
        """Learn from a step and the change of the gradient along it.

        What rounding has turned, so that the objective seems not convex, teaches nothing.
        """
        if along := self._keep(step, change):
            self._scale = along / float((change * self.inverse(change)).sum())

    def product(self, gradient: torch.Tensor) -> torch.Tensor:
        """Return the approximate inverse times a gradient."""
        out = gradient.clone()
        shares = []
        for step, change, along in reversed(self._steps):
            share = (step * out).sum() / along
            out -= share * change
            shares.append(share)
        out = self._scale * self.inverse(out)
        for (step, change, along), share in zip(self._steps, reversed(shares), strict=True):
            out += (share - (change * out).sum() / along) * step
        return out

    def _keep(self, step: torch.Tensor, change: torch.Tensor) -> float:
        """Return the curvature along the step, or 0 if it teaches nothing."""
        along = float((step * change).sum())
        if along <= 0:
            return 0.0
        self._steps.append((step, change, along))
        return along
