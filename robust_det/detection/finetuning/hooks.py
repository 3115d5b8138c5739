"""What happens around a step, in Detectron2's hooks: seeds, bar, best weights, stopping."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

from detectron2.engine import HookBase
from detectron2.utils import comm

from robust_det.core.progress import progress_bar
from robust_det.core.seeding import mixed_seed, seed_generators
from robust_det.detection.provenance import BEST_KEY

__all__ = ["KeepBest", "ProgressHook", "SeedEachStep"]


class SeedEachStep(HookBase):
    """Seeds what the model draws in a step: which anchors and proposals it learns from.

    Args:
        seed: of the run.
    """

    def __init__(self, seed: int) -> None:
        self.seed = seed

    def before_step(self) -> None:
        seed_generators(mixed_seed(self.seed, self.trainer.iter, comm.get_rank()))


class ProgressHook(HookBase):
    """A progress bar with iterations a second, time left and the loss."""

    def before_train(self) -> None:
        trainer = self.trainer
        self.bar = progress_bar(
            trainer.max_iter,
            f"train {Path(trainer.cfg.OUTPUT_DIR).name}",
            "it",
            enabled=trainer.start_iter < trainer.max_iter,
            initial=trainer.start_iter,
        )

    def after_step(self) -> None:
        history = self.trainer.storage.histories().get("total_loss")
        if history is not None:
            self.bar.set_postfix(loss=f"{history.median(20):.3f}", refresh=False)
        self.bar.update(1)

    def after_train(self) -> None:
        self.bar.close()


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
            best = {"metric": self.metric, "value": value}
            self.checkpointer.save_beside(
                "model_best", iteration=self.trainer.iter, **{BEST_KEY: best}
            )

    def state_dict(self) -> dict[str, float]:
        """Return what resuming needs."""
        return {"best": self.best}

    def load_state_dict(self, state: dict[str, float]) -> None:
        """Continue from an earlier session's best."""
        self.best = state["best"]
