"""An exponential moving average of a network's weights, which is what gets evaluated."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

__all__ = ["WeightAverage"]


class WeightAverage:
    """torch's :class:`AveragedModel` of parameters and buffers, begun at a network's weights.

    Args:
        model: whose weights; without DDP around it.
        decay: of a step, such as 0.9998.
        warm_up: follow faster in the first steps, as TensorFlow and timm do: the decay of step n is
            at most (1 + n) / (10 + n). Otherwise the first update takes the weights as they are.

    Attributes:
        network: the averaged network, to evaluate and to save.
    """

    def __init__(self, model: nn.Module, decay: float, warm_up: bool = False) -> None:
        self._model = model
        self._warm_up = warm_up
        average = _warmed_up(decay) if warm_up else get_ema_multi_avg_fn(decay)
        self._averaged = AveragedModel(model, multi_avg_fn=average, use_buffers=True)
        self.network: nn.Module = self._averaged.module.eval().requires_grad_(False)
        self.restart()

    @property
    def updates(self) -> int:
        """How many weights it has taken in."""
        return int(self._averaged.n_averaged) - self._warm_up

    @updates.setter
    def updates(self, number: int) -> None:
        # torch takes the first weights over as they are, where its count is 0
        self._averaged.n_averaged.fill_(number + self._warm_up)

    @property
    def values(self) -> dict[str, torch.Tensor]:
        """The averaged tensors, those of floating-point numbers, by their names."""
        state = self.network.state_dict()
        return {name: value for name, value in state.items() if value.is_floating_point()}

    def restart(self) -> None:
        """Begin anew from the network's present weights."""
        self.network.load_state_dict(self._model.state_dict())
        self.updates = 0

    def update(self) -> None:
        """Take the network's present weights in."""
        self._averaged.update_parameters(self._model)

    def state_dict(self) -> dict[str, Any]:
        """Return what resuming needs."""
        return {"values": self.values, "steps": self.updates}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Continue from an earlier session's average."""
        self.network.load_state_dict({**self._model.state_dict(), **state["values"]})
        self.updates = state["steps"]


def _warmed_up(decay: float) -> Any:
    @torch.no_grad()
    def average(averaged: list[torch.Tensor], present: list[torch.Tensor], number: Any) -> None:
        if not averaged[0].is_floating_point():  # counters are of the latest step
            torch._foreach_copy_(averaged, present)
            return
        step = int(number)
        weight = 1 - min(decay, (1 + step) / (10 + step))
        torch._foreach_lerp_(averaged, present, weight)

    return average
