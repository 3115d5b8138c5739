"""From a pretraining config to batches: the data sets and their loaders."""

from __future__ import annotations

from collections.abc import Generator

import torch
from torch.utils.data import DataLoader

from robust_det.core.config.reading import CfgNode
from robust_det.core.errors import UserError
from robust_det.core.signals import leave_to_parent
from robust_det.data.classification.crops import eval_transform, train_transform
from robust_det.data.classification.image_folder import Batch, ImageFolder, collate
from robust_det.data.classification.sampling import EvalBatches, TrainBatches

__all__ = ["CorruptImageError", "batches_of", "training_set", "validation_set"]


class CorruptImageError(UserError):
    """An image of the data set cannot be decoded."""


def training_set(cfg: CfgNode) -> ImageFolder:
    """Open ``DATA.ROOT/train`` with the config's augmentation.

    Raises:
        UserError: see :class:`ImageFolder`.
    """
    low, high = cfg.DATA.CROP_SCALE
    transform = train_transform(
        cfg.DATA.IMAGE_SIZE,
        (low, high),
        cfg.DATA.FLIP,
        cfg.DATA.COLOR_JITTER,
        exact=cfg.DATA.EXACT_DECODE,
    )
    skip = cfg.DATA.ON_CORRUPT == "skip"
    return ImageFolder(cfg.DATA.ROOT, "train", transform, seed=cfg.SEED, substitute=skip)


def validation_set(cfg: CfgNode, classes: list[str]) -> ImageFolder:
    """Open ``DATA.ROOT/val``, which must have the given classes; its pixels are always Pillow's.

    Raises:
        UserError: see :class:`ImageFolder`.
    """
    transform = eval_transform(cfg.DATA.RESIZE, cfg.DATA.IMAGE_SIZE)
    return ImageFolder(cfg.DATA.ROOT, "val", transform, classes=classes)


def batches_of(
    cfg: CfgNode,
    data: ImageFolder,
    order: TrainBatches | EvalBatches,
    device: torch.device,
) -> Generator[Batch, None, None]:
    """Load batches in the given order.

    Raises:
        CorruptImageError: an image is corrupt, unless the config says to skip such.
        UserError: so are all that could stand in for it.
    """
    loader = DataLoader(
        data,
        batch_sampler=order,
        num_workers=cfg.DATA.WORKERS,
        collate_fn=collate,
        pin_memory=device.type == "cuda",
        worker_init_fn=leave_to_parent,
        # its own: a loader draws a number from the global one whenever it starts, and a resumed
        # run starts another number of loaders
        generator=torch.Generator().manual_seed(cfg.SEED),
    )
    for batch in loader:
        if batch.corrupt and cfg.DATA.ON_CORRUPT == "stop":
            raise CorruptImageError(
                f"cannot decode {batch.corrupt[0]}",
                "repair or remove it, or set DATA.ON_CORRUPT skip",
            )
        if batch.hopeless:
            raise UserError(f"cannot decode {batch.corrupt[0]}, nor any of the images after it")
        yield batch
