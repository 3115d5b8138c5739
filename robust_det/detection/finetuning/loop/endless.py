"""Warnings of schedules that come out longer than anybody means."""

from __future__ import annotations

import logging
import time

from detectron2.config import CfgNode
from detectron2.engine import HookBase

from robust_det.core.progress import duration
from robust_det.detection.finetuning.epochs import epochs_of, usual_epochs

__all__ = ["ScheduleHook"]

logger = logging.getLogger(__name__)

_MOST_EPOCHS, _MOST_SECONDS = 200, 86400
_EARLY = 0.4  # of a schedule; of Detectron2's own the last drop is at 0.7 to 0.93
# steps after which a run's time is known, and of these the first ones, which plan and allocate
_MEASURED, _FIRST = 20, 5


class ScheduleHook(HookBase):
    """Warns before the first step of more than 200 epochs, and after twenty steps of these and of
    more than a day, as the steps took; otherwise says then how long the rest takes.

    Args:
        cfg: of the run.
        images: that it trains on.
    """

    def __init__(self, cfg: CfgNode, images: int) -> None:
        self.cfg, self.images = cfg, images
        self.epochs = epochs_of(cfg, images)
        self._steps, self._begun = 0, 0.0

    def before_train(self) -> None:
        if self.epochs > _MOST_EPOCHS and self.trainer.iter < self.trainer.max_iter:
            logger.warning(f"{self._said()}; {self._advice()}")
        solver, end = self.cfg.SOLVER, self.trainer.max_iter
        last = max((step for step in solver.STEPS if step < end), default=end)
        if solver.LR_SCHEDULER_NAME == "WarmupMultiStepLR" and last < _EARLY * end:
            usual = [round(0.7 * end), round(0.9 * end)]
            logger.warning(
                f"the learning rate falls for the last time after {last} of {end} iterations"
                f" (SOLVER.STEPS {list(solver.STEPS)}); usual are {usual}"
            )

    def after_step(self) -> None:
        self._steps += 1
        if self._steps == _FIRST:
            self._begun = time.perf_counter()
        elif self._steps == _MEASURED:
            # all between two steps counts, as it does until the end
            self._judge((time.perf_counter() - self._begun) / (_MEASURED - _FIRST))

    def _judge(self, step: float) -> None:
        whole = step * self.trainer.max_iter
        left = step * (self.trainer.max_iter - self.trainer.iter - 1)
        if self.epochs > _MOST_EPOCHS or whole > _MOST_SECONDS:
            took = f"{self._said()}, which take {duration(whole)} at {step:.3g} s each"
            logger.warning(f"{took} on {self.cfg.MODEL.DEVICE}; {self._advice()}")
        elif left:
            logger.info(f"{step:.3g} s an iteration: about {duration(left)} of training left")

    def _said(self) -> str:
        epochs = f"{self.epochs:,.0f}" if self.epochs >= 10 else f"{self.epochs:.2g}"
        return f"SOLVER.MAX_ITER {self.trainer.max_iter} is {epochs} epochs of {self.images} images"

    def _advice(self) -> str:
        batch = self.cfg.SOLVER.IMS_PER_BATCH * self.cfg.SOLVER.ACCUMULATE
        device = self.cfg.MODEL.DEVICE.partition(":")[0]
        epochs = usual_epochs(self.images, device, batch)
        usual = max(2, round(epochs * self.images / batch))
        if usual >= self.trainer.max_iter:
            return "a GPU, smaller images (INPUT.MIN_SIZE_TRAIN) or a smaller SOLVER.MAX_ITER help"
        steps = f'"[{max(1, int(usual * 0.7))}]"'
        return (
            f"usual are {epochs:.3g} epochs: SOLVER.MAX_ITER {usual} SOLVER.STEPS {steps};"
            " train --data chooses a whole schedule"
        )
