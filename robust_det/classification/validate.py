"""Validation as a config describes it."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator, Mapping

import torch
from torch import nn

from robust_det.classification.attack_settings import eval_attack
from robust_det.classification.evaluate import evaluate
from robust_det.classification.examples.choice import Examples
from robust_det.classification.image_sets import batches_of
from robust_det.classification.per_class.tally import ClassTally
from robust_det.core.config.reading import CfgNode
from robust_det.core.device import AMP_DTYPES
from robust_det.core.progress import progress_bar
from robust_det.core.signals import WaitCutShort
from robust_det.data.classification.image_list import Batch, ImageList
from robust_det.data.classification.sampling import EvalBatches
from robust_det.training.world import World

__all__ = ["validate"]

logger = logging.getLogger(__name__)


def validate(
    cfg: CfgNode,
    model: nn.Module,
    data: ImageList,
    device: torch.device,
    world: World,
    stop: Callable[[], bool] = lambda: False,
    tally: ClassTally | None = None,
    examples: Examples | None = None,
) -> dict[str, float]:
    """Evaluate a model on the validation set with a progress bar.

    Args:
        cfg: a pretraining config.
        model: takes images in [0, 1], returns logits.
        data: the validation set.
        device, world: where it runs, and beside whom.
        stop: is asked before each batch; the figures of a cut-off validation mean nothing.
        tally, examples: see :func:`robust_det.classification.evaluate.evaluate`.

    Returns:
        See :func:`robust_det.classification.evaluate.evaluate`.
    """
    batches = EvalBatches(len(data), cfg.EVAL.BATCH_SIZE, world.rank, world.size)
    share, attack = len(batches.mine), eval_attack(cfg)
    with progress_bar(share, "validate", "img", world.is_main) as bar:
        values = evaluate(
            model,
            _until(stop, batches_of(cfg, data, batches, device)),
            attack,
            world=world,
            device=device,
            length=len(data),
            adversarial_images=cfg.EVAL.ADVERSARIAL_IMAGES,
            channels_last=cfg.TRAIN.CHANNELS_LAST,
            objective=cfg.EVAL.OBJECTIVE,
            amp_dtype=AMP_DTYPES[cfg.TRAIN.PRECISION],
            seed=cfg.SEED,
            passes=attack.steps * attack.restarts,
            on_images=lambda images: _void(bar.update(images)),
            tally=tally,
            examples=examples,
        )
    if world.is_main:
        _say_losses(values, len(data))
    return values


def _say_losses(values: Mapping[str, float], length: int) -> None:
    """Warn of images that are not behind the figures, and of an attack that was weaker."""
    if corrupt := int(values["corrupt"]):
        logger.warning(
            f"{corrupt} of the {length} images could not be read; accuracy is of the"
            f" other {int(values['val_images'])}"
        )
    if overflows := int(values["not_finite"]):
        logger.warning(
            f"the attack of validation met NaN or Inf among an image's logits {overflows} times,"
            " and did nothing there: adversarial accuracy may be too high"
        )


def _until(stop: Callable[[], bool], batches: Iterable[Batch]) -> Iterator[Batch]:
    try:
        for batch in batches:
            if stop():
                return
            yield batch
    except WaitCutShort:
        stop()  # which tells who asked for it


def _void(_: object) -> None:
    """Drop a result."""
