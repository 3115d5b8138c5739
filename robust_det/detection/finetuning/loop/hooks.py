"""What happens around a step, in Detectron2's hooks: seeds and the bar."""

from __future__ import annotations

from pathlib import Path

from detectron2.engine import HookBase
from detectron2.utils import comm

from robust_det.core.progress import progress_bar
from robust_det.core.seeding import mixed_seed, seed_generators

__all__ = ["ProgressHook", "SeedEachStep"]


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
