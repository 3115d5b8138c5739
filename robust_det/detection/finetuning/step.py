"""One training step: forward and backward passes in the chosen precision, and an update."""

from __future__ import annotations

import contextlib
import math
import time
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from detectron2.engine import SimpleTrainer
from torch.nn.parallel import DistributedDataParallel

from robust_det.detection.finetuning.averaging import AveragedWeights

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
        average: AveragedWeights | None = None,
    ) -> None:
        super().__init__(model, data_loader, optimizer)
        self.dtype = dtype
        self.accumulate = accumulate
        self.clip_norm = clip_norm
        self.average = average
        self.device = next(model.parameters()).device
        # float16 alone is so narrow that gradients vanish
        self.scaler = torch.amp.GradScaler(self.device.type, enabled=dtype is torch.float16)
        self._batches = iter(data_loader)

    def run_step(self) -> None:
        """Take the batches of one update and do it.

        Raises:
            FloatingPointError: the loss is not finite; names the images.
        """
        assert self.model.training, "the model was changed to eval mode"
        waited = 0.0
        total: dict[str, torch.Tensor] = {}
        self.optimizer.zero_grad()
        for number in range(self.accumulate):
            start = time.perf_counter()
            batch = next(self._batches)
            waited += time.perf_counter() - start
            with self._without_exchange(number < self.accumulate - 1):
                losses = self._losses(batch)
                loss: Any = sum(losses.values())
                self.scaler.scale(loss / self.accumulate).backward()
            for name, value in losses.items():
                total[name] = total.get(name, 0) + value.detach() / self.accumulate
        self._write_metrics(total, waited)
        # before all clipping, Detectron2's too, which is in the optimiser's step: a fused optimiser
        # would unscale what is clipped already
        self.scaler.unscale_(self.optimizer)
        if self.clip_norm:
            torch.nn.utils.clip_grad_norm_(self.model.parameters(), self.clip_norm)
        self.scaler.step(self.optimizer)
        self.scaler.update()
        if self.average is not None:
            self.average.update()

    def _losses(self, batch: Any) -> Mapping[str, torch.Tensor]:
        with torch.autocast(self.device.type, dtype=self.dtype, enabled=self.dtype is not None):
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

    def _without_exchange(self, early: bool) -> Any:
        # between processes, gradients are summed once an update
        if early and isinstance(self.model, DistributedDataParallel):
            return self.model.no_sync()
        return contextlib.nullcontext()

    def state_dict(self) -> dict[str, Any]:
        return {**super().state_dict(), "scaler": self.scaler.state_dict()}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        super().load_state_dict(state_dict)
        if "scaler" in state_dict:  # absent from the files of earlier versions
            self.scaler.load_state_dict(state_dict["scaler"])


def _names(batch: Sequence[Mapping[str, Any]], limit: int = 8) -> str:
    names = [str(item.get("file_name", item.get("image_id"))) for item in batch]
    return ", ".join(names[:limit]) + (", ..." if len(names) > limit else "")
