"""Keeping the checkpoint of the best evaluation so far."""

from __future__ import annotations

import math
from typing import Any

from detectron2.engine import HookBase

__all__ = ["KeepBest"]


class KeepBest(HookBase):
    """Writes ``model_best.pth`` when an evaluation is better than all before; after the evaluation.

    Args:
        metric: as the storage names it, such as ``bbox/AP``.
        checkpointer: of the run.
    """

    def __init__(self, metric: str, checkpointer: Any) -> None:
        self.metric, self.checkpointer = metric, checkpointer
        self.best, self.seen = -math.inf, -1

    def after_step(self) -> None:
        value, iteration = self.trainer.storage.latest().get(self.metric, (math.nan, -1))
        if iteration == self.seen:
            return
        self.seen = iteration
        if value > self.best:
            self.best = value
            self.checkpointer.save_beside("model_best", iteration=self.trainer.iter)

    def state_dict(self) -> dict[str, float]:
        """Return what resuming needs."""
        return {"best": self.best}

    def load_state_dict(self, state: dict[str, float]) -> None:
        """Continue from an earlier session's best."""
        self.best = state["best"]
