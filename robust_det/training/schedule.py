"""Learning-rate schedules as functions of the step, so that resuming needs no scheduler state."""

from __future__ import annotations

from fvcore.common.param_scheduler import (
    CompositeParamScheduler,
    CosineParamScheduler,
    LinearParamScheduler,
    MultiStepParamScheduler,
    ParamScheduler,
)

from robust_det.core.config import CfgNode
from robust_det.core.errors import UserError

__all__ = ["LearningRate", "steps_per_epoch"]


class LearningRate:
    """The learning rate at each step of a run.

    ``step`` drops by GAMMA every STEP_EPOCHS, ``cosine`` falls to 0, both after a linear warm-up
    from 0; ``onecycle`` rises linearly over WARMUP_EPOCHS (a quarter of the run if 0) from a
    tenth of the peak and falls to 0 along a cosine (Smith & Topin 2018).

    Args:
        cfg: a pretraining config.
        steps_per_epoch: optimiser steps an epoch.
    """

    def __init__(self, cfg: CfgNode, steps_per_epoch: int) -> None:
        optim, epochs = cfg.OPTIM, cfg.TRAIN.EPOCHS
        self.peak = optim.LR
        self.total = epochs * steps_per_epoch
        warmup = optim.WARMUP_EPOCHS / epochs
        main: ParamScheduler
        if optim.SCHEDULE == "step":
            drops = list(range(optim.STEP_EPOCHS, epochs, optim.STEP_EPOCHS))
            values = [optim.GAMMA**i for i in range(len(drops) + 1)]
            main = MultiStepParamScheduler(values, milestones=drops, num_updates=epochs)
        else:
            main = CosineParamScheduler(1.0, 0.0)
        start = 0.0
        if optim.SCHEDULE == "onecycle":
            warmup, start = warmup or 0.25, 0.1
        if warmup > 0:
            fixed = "fixed" if optim.SCHEDULE == "step" else "rescaled"
            end = main(warmup) if optim.SCHEDULE == "step" else 1.0
            main = CompositeParamScheduler(
                [LinearParamScheduler(start, end), main],
                interval_scaling=["rescaled", fixed],
                lengths=[warmup, 1 - warmup],
            )
        self._factor = main

    def __call__(self, step: int) -> float:
        """Return the learning rate of a step, counted from 0."""
        # the middle of the step: neither a wasted first step at 0 nor a last one at 0
        return self.peak * float(self._factor((step + 0.5) / self.total))


def steps_per_epoch(cfg: CfgNode, images: int, processes: int) -> int:
    """Return how many whole batches an epoch has.

    Args:
        cfg: a pretraining config.
        images: of the training split.
        processes: that share each batch.

    Raises:
        UserError: the batch cannot be shared so, or is larger than the split.
    """
    batch, passes = cfg.TRAIN.BATCH_SIZE, cfg.TRAIN.ACCUMULATE
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
