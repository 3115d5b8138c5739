"""An exponential moving average of a detector's weights, which is what gets evaluated."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch
from torch import nn

__all__ = ["AveragedWeights"]


class AveragedWeights:
    """The average of a model's parameters and floating-point buffers.

    In the first steps the average follows faster (Polyak averaging as in TensorFlow's and timm's
    warm-up): the decay of step n is at most (1 + n) / (10 + n).

    Args:
        model: whose weights; without DDP around it.
        decay: per step, such as 0.9998.
    """

    def __init__(self, model: nn.Module, decay: float) -> None:
        self.model, self.decay, self.steps = model, decay, 0
        self.values = {name: value.detach().clone() for name, value in self._own().items()}

    def _own(self) -> dict[str, torch.Tensor]:
        return {n: v for n, v in self.model.state_dict().items() if v.is_floating_point()}

    def restart(self) -> None:
        """Begin anew from the model's present weights."""
        self.steps = 0
        for name, value in self._own().items():
            self.values[name].copy_(value)

    @torch.no_grad()
    def update(self) -> None:
        """Take the model's present weights in."""
        self.steps += 1
        decay = min(self.decay, (1 + self.steps) / (10 + self.steps))
        own = self._own()
        names = list(self.values)
        torch._foreach_lerp_([self.values[n] for n in names], [own[n] for n in names], 1 - decay)

    @contextmanager
    def applied(self) -> Iterator[None]:
        """Let the model have the average for a while."""
        own = self._own()
        before = {name: value.clone() for name, value in own.items()}
        try:
            for name, value in own.items():
                value.copy_(self.values[name])
            yield
        finally:
            for name, value in own.items():
                value.copy_(before[name])

    def state_dict(self) -> dict[str, Any]:
        """Return what resuming needs."""
        return {"values": self.values, "steps": self.steps}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Continue from an earlier session's average."""
        self.steps = state["steps"]
        for name, value in self.values.items():
            value.copy_(state["values"][name])
