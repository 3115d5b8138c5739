"""Learning-rate schedules as functions of the step, so that resuming needs no scheduler state."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

from fvcore.common.param_scheduler import (
    CompositeParamScheduler,
    CosineParamScheduler,
    LinearParamScheduler,
    MultiStepParamScheduler,
    ParamScheduler,
)

from robust_det.core.errors import UserError

__all__ = ["SCHEDULES", "LearningRate", "steps_per_epoch"]

SCHEDULES = ("step", "multistep", "cosine", "onecycle")


@dataclass(frozen=True)
class LearningRate:
    """The learning rate at each step of a run.

    Args:
        kind: ``step`` drops by ``gamma`` every ``drop_epochs``, ``multistep`` at ``milestones``,
            ``cosine`` falls to 0, all after a linear warm-up from 0; ``onecycle`` rises linearly
            over the warm-up (a quarter of the run if 0) from a tenth of the peak and falls to 0
            along a cosine (Smith & Topin 2018).
        peak: the highest.
        epochs, steps_per_epoch: the length of the run.
        warmup_epochs: of the warm-up; below ``epochs``.
        drop_epochs: between two drops.
        gamma: what a drop multiplies by.
        milestones: epochs, rising and below ``epochs``, after which a drop comes.
    """

    kind: str
    peak: float
    epochs: int
    steps_per_epoch: int
    warmup_epochs: float = 0.0
    drop_epochs: int = 30
    gamma: float = 0.1
    milestones: tuple[int, ...] = ()

    def __call__(self, step: int) -> float:
        """Return the learning rate of a step, counted from 0."""
        total = self.epochs * self.steps_per_epoch
        # the middle of the step: neither a wasted first step at 0 nor a last one at 0
        return self.peak * float(self._factor((step + 0.5) / total))

    @cached_property
    def _factor(self) -> ParamScheduler:
        warmup = self.warmup_epochs / self.epochs
        main: ParamScheduler
        stepwise = self.kind in ("step", "multistep")
        if stepwise:
            equal = range(self.drop_epochs, self.epochs, self.drop_epochs)
            drops = list(equal if self.kind == "step" else self.milestones)
            values = [self.gamma**i for i in range(len(drops) + 1)]
            main = MultiStepParamScheduler(values, milestones=drops, num_updates=self.epochs)
        else:
            main = CosineParamScheduler(1.0, 0.0)
        start = 0.0
        if self.kind == "onecycle":
            warmup, start = warmup or 0.25, 0.1
        if warmup > 0:
            fixed = "fixed" if stepwise else "rescaled"
            end = main(warmup) if stepwise else 1.0
            main = CompositeParamScheduler(
                [LinearParamScheduler(start, end), main],
                interval_scaling=["rescaled", fixed],
                lengths=[warmup, 1 - warmup],
            )
        return main


def steps_per_epoch(images: int, batch: int, passes: int, processes: int) -> int:
    """Return how many whole batches an epoch has.

    Args:
        images: of the training split.
        batch: images of an optimiser step, over all processes.
        passes: that an optimiser step is made of.
        processes: that share each batch.

    Raises:
        UserError: the batch cannot be shared so, or is larger than the split.
    """
    if batch % processes:
        raise UserError(f"TRAIN.BATCH_SIZE must be divisible by the {processes} processes")
    if batch // processes < 2 * passes:
        raise UserError(
            f"TRAIN.BATCH_SIZE {batch} over {processes} processes and {passes} passes leaves less"
            " than 2 images for batch norm"
        )
    if images < batch:
        raise UserError(f"TRAIN.BATCH_SIZE {batch} is more than the {images} training images")
    return images // batch
