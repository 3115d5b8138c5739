"""One training step of a detector: the engine's update of Detectron2's losses."""

from __future__ import annotations

import math
import time
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from detectron2.engine import SimpleTrainer

from robust_det.core.device import autocast
from robust_det.core.signals import WaitCutShort
from robust_det.detection.finetuning.loop.stopping import leave_if_asked
from robust_det.training.averaging import WeightAverage
from robust_det.training.step import OptimizerStep
from robust_det.training.world import this_world

__all__ = ["TrainingStep"]


class TrainingStep(SimpleTrainer):
    """Detectron2's :class:`SimpleTrainer` with autocast, accumulation and averaged weights.

    With all of them off, it computes what :class:`SimpleTrainer` computes.

    Args:
        model, data_loader, optimizer: as there.
        dtype: of autocast; None is float32 throughout.
        accumulate: batches whose gradients make one update, each weighted alike.
        clip_norm: largest norm of all gradients together; 0 does not clip.
        average: of the weights, updated at each step.
    """

    def __init__(
        self,
        model: Any,
        data_loader: Any,
        optimizer: torch.optim.Optimizer,
        *,
        dtype: torch.dtype | None = None,
        accumulate: int = 1,
        clip_norm: float = 0.0,
        average: WeightAverage | None = None,
    ) -> None:
        super().__init__(model, data_loader, optimizer)
        self.dtype = dtype
        self.accumulate = accumulate
        self.device = next(model.parameters()).device
        self.update = OptimizerStep(
            model, optimizer, dtype=dtype, clip_norm=clip_norm, average=average, world=this_world()
        )
        self._batches = iter(data_loader)

    def run_step(self) -> None:
        """Take the batches of one update and do it.

        Raises:
            FloatingPointError: the loss is not finite; names the images.
            Stopped: a process was asked to stop; no step is done.
        """
        assert self.model.training, "the model was changed to eval mode"
        start = time.perf_counter()
        try:
            batches = [next(self._batches) for _ in range(self.accumulate)]
        except WaitCutShort:
            batches = []
        waited = time.perf_counter() - start
        # together, before any process waits for the others in the step
        leave_if_asked(here=not batches)
        total = self.update(self.accumulate, lambda number: self._pass(batches[number]))
        self._write_metrics(total, waited)

    def _pass(self, batch: Any) -> dict[str, torch.Tensor]:
        return {name: value / self.accumulate for name, value in self._losses(batch).items()}

    def _losses(self, batch: Any) -> Mapping[str, torch.Tensor]:
        with autocast(self.device, self.dtype):
            losses = self._forward(batch)
        if isinstance(losses, torch.Tensor):
            losses = {"total_loss": losses}
        if not math.isfinite(sum(float(value.detach()) for value in losses.values())):
            shown = ", ".join(f"{name} {float(value):.3g}" for name, value in losses.items())
            raise FloatingPointError(
                f"the loss is not finite at iteration {self.iter}: {shown}; images: {_names(batch)}"
            )
        return losses

    def _forward(self, batch: Any) -> Any:
        try:
            return self.model(batch)
        except FloatingPointError as error:  # proposals that are not finite
            raise FloatingPointError(f"{error} Images: {_names(batch)}") from error

    def state_dict(self) -> dict[str, Any]:
        return {**super().state_dict(), **self.update.state_dict()}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        super().load_state_dict(state_dict)
        self.update.load_state_dict(state_dict)


def _names(batch: Sequence[Mapping[str, Any]], limit: int = 8) -> str:
    names = [str(item.get("file_name", item.get("image_id"))) for item in batch]
    return ", ".join(names[:limit]) + (", ..." if len(names) > limit else "")
