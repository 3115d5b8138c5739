"""One update of a network: forward and backward passes, clipping, optimiser, moving average.

What the passes compute is the job's: cross-entropy on adversarial examples, a detector's losses.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import nn
from torch.nn.parallel import DistributedDataParallel

from robust_det.training.averaging import WeightAverage
from robust_det.training.world import World

__all__ = ["OptimizerStep"]


class OptimizerStep:
    """Updates a network once a call.

    Args:
        network: what is trained: a module, or DDP around it.
        optimizer: of its parameters.
        dtype: autocast type of the passes, which the caller sees to; with float16 the losses are
            scaled, since gradients underflow without. bfloat16 has float32's range.
        clip_norm: largest norm of all gradients together; 0 does not clip.
        average: of the weights, updated with them.
        world: the processes that train together.
    """

    def __init__(
        self,
        network: nn.Module,
        optimizer: torch.optim.Optimizer,
        *,
        dtype: torch.dtype | None = None,
        clip_norm: float = 0.0,
        average: WeightAverage | None = None,
        world: World | None = None,
    ) -> None:
        self.network = network
        self.optimizer = optimizer
        self.clip_norm = clip_norm
        self.average = average
        self.world = world or World()
        device = next(network.parameters()).device
        self.scaler = torch.amp.GradScaler(device.type, enabled=dtype is torch.float16)

    def __call__(
        self,
        passes: int,
        losses: Callable[[int], Mapping[str, torch.Tensor]],
        before_update: Callable[[], None] = lambda: None,
    ) -> dict[str, torch.Tensor]:
        """Do one update.

        Args:
            passes: how many forward and backward passes it is made of; their gradients add up, and
                processes exchange them once.
            losses: returns the losses of a pass, by its number; their sum over names and passes is
                what is minimised, so each pass weighs its own.
            before_update: is called once the gradients are there, and may change the weights that
                they will be applied to.

        Returns:
            The losses by name, summed over the passes: scalars on the device, so that reading them
            is the caller's choice.
        """
        self.optimizer.zero_grad(set_to_none=True)
        total: dict[str, torch.Tensor] = {}
        for number in range(passes):
            with self._exchange_only_if(number == passes - 1):
                parts = losses(number)
                loss: Any = sum(parts.values())
                self.scaler.scale(loss).backward()
            for name, value in parts.items():
                total[name] = total.get(name, 0) + value.detach()
        before_update()
        # before all clipping, also that in the optimiser's own step: a fused optimiser would
        # unscale what is clipped already
        self.scaler.unscale_(self.optimizer)
        if self.clip_norm > 0:
            nn.utils.clip_grad_norm_(self.network.parameters(), self.clip_norm)
        self.scaler.step(self.optimizer)
        self.scaler.update()
        self.world.average_statistics(self.network)
        if self.average is not None:
            self.average.update()
        return total

    def _exchange_only_if(self, last: bool) -> contextlib.AbstractContextManager[None]:
        if isinstance(self.network, DistributedDataParallel) and not last:
            return self.network.no_sync()
        return contextlib.nullcontext()

    def state_dict(self) -> dict[str, Any]:
        """Return what resuming needs beside the weights."""
        return {"optimizer": self.optimizer.state_dict(), "scaler": self.scaler.state_dict()}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Continue from an earlier session's state."""
        self.optimizer.load_state_dict(state["optimizer"])
        if "scaler" in state:  # absent from the detectors of early versions
            self.scaler.load_state_dict(state["scaler"])
