"""The memory of L-BFGS (Nocedal 1980; Nocedal & Wright 2006, algorithm 7.4)."""

from __future__ import annotations

from collections import deque

import torch

__all__ = ["Memory"]

_KEPT = 10  # steps


class Memory:
    """An approximate inverse of the Hessian from the last steps.

    Args:
        inverse: the diagonal of a first approximation, positive, of the parameters' shape; it is
            scaled by the last step.
    """

    def __init__(self, inverse: torch.Tensor) -> None:
        self._inverse = inverse
        self._steps: deque[tuple[torch.Tensor, torch.Tensor, float]] = deque(maxlen=_KEPT)
        self._scale = 1.0

    def add(self, step: torch.Tensor, change: torch.Tensor) -> None:
        """Learn from a step and the change of the gradient along it.

        What rounding has turned, so that the objective seems not convex, teaches nothing.
        """
        along = float((step * change).sum())
        if along <= 0:
            return
        self._steps.append((step, change, along))
        self._scale = along / float((change * self._inverse * change).sum())

    def product(self, gradient: torch.Tensor) -> torch.Tensor:
        """Return the approximate inverse times a gradient."""
        out = gradient.clone()
        shares = []
        for step, change, along in reversed(self._steps):
            share = (step * out).sum() / along
            out -= share * change
            shares.append(share)
        out *= self._scale * self._inverse
        for (step, change, along), share in zip(self._steps, reversed(shares), strict=True):
            out += (share - (change * out).sum() / along) * step
        return out
