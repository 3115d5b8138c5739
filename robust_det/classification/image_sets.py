"""From a pretraining config to batches: the data sets and their loaders."""

from __future__ import annotations

import logging
from collections.abc import Generator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import torch
from torch.utils.data import DataLoader

from robust_det.classification.augmentation import augmentation
from robust_det.core.config.reading import CfgNode, config_differences, to_dict
from robust_det.core.errors import UserError
from robust_det.core.signals import leave_to_parent
from robust_det.data.classification.crops import eval_transform
from robust_det.data.classification.identity import in_both, names_digest
from robust_det.data.classification.image_folder import ImageFolder
from robust_det.data.classification.image_list import Batch, ImageList, collate
from robust_det.data.classification.sampling import EvalBatches, TrainBatches
from robust_det.training.waiting import loaded, require_shared_memory
from robust_det.training.world import World

__all__ = [
    "CorruptImageError",
    "batches_of",
    "load_batches",
    "require_room",
    "require_same_everywhere",
    "say_oddities",
    "training_set",
    "validation_set",
]

logger = logging.getLogger(__name__)

# keys that may differ between the processes of a run
_OWN_KEYS = ("OUTPUT_DIR", "DATA.ROOT", "DATA.WORKERS", "DEVICE")


class CorruptImageError(UserError):
    """An image of the data set cannot be decoded."""


def training_set(cfg: CfgNode) -> ImageFolder:
    """Open ``DATA.ROOT/train`` with the config's augmentation.

    Raises:
        UserError: fewer than two classes; or see :class:`ImageFolder`.
    """
    transform = augmentation(cfg)
    skip = cfg.DATA.ON_CORRUPT == "skip"
    data = ImageFolder(cfg.DATA.ROOT, "train", transform, seed=cfg.SEED, substitute=skip)
    if len(data.classes) < 2:
        hint = "".join(f"; {note}" for note in data.notes)
        raise UserError(
            f"{data.folder} has one class folder, {data.classes[0]}, and a classifier needs two or"
            f" more{hint}"
        )
    return data


def validation_set(cfg: CfgNode, classes: list[str] | None = None) -> ImageFolder:
    """Open ``DATA.ROOT/val``, which must have the classes that are given; its pixels are always
    Pillow's.

    Raises:
        UserError: see :class:`ImageFolder`.
    """
    transform = eval_transform(cfg.DATA.RESIZE, cfg.DATA.IMAGE_SIZE)
    return ImageFolder(cfg.DATA.ROOT, "val", transform, classes=classes)


def say_oddities(train: ImageList, val: ImageList) -> None:
    """Log what was left out of the data, and validation images that are trained on."""
    for note in (*train.notes, *val.notes):
        logger.warning(note)
    if found := in_both(train, val):
        logger.warning(
            "%d of the %d validation images are among the training images as well, such as %s:"
            " accuracy will be too high",
            len(found),
            len(val),
            found[0],
        )


def require_same_everywhere(
    cfg: CfgNode,
    train: ImageList,
    val: ImageList,
    checkpoint: Path,
    world: World,
    start: str = "",
) -> None:
    """Compare what the processes of a run are given, before they train one network on it.

    Args:
        cfg: of this process, as all others.
        train, val: its data.
        checkpoint: that the run is resumed from if it is there.
        world: the processes.
        start: SHA-256 of the weights to start from.

    Raises:
        UserError: says which process has what; in all of them.
    """
    if world.size == 1:
        return
    facts = {
        "training images": len(train),
        "validation images": len(val),
        "classes": len(train.classes),
        "class names": train.classes,
        "names of images": names_digest(train) + names_digest(val),
        "weights to start from": start,
        _CHECKPOINT: checkpoint.exists(),
    }
    mine = _Given(facts, to_dict(cfg), str(train.folder.parent), str(checkpoint))
    first, *others = cast(list[_Given], world.gather(mine))
    for rank, other in enumerate(others, start=1):
        if odd := config_differences(first.config, other.config, ignore=_OWN_KEYS):
            raise UserError(
                f"process {rank} has another config than process 0 ({'; '.join(odd[:3])}); start"
                " all with the same"
            )
        for what in facts:
            if other.facts[what] != first.facts[what]:
                raise UserError(
                    f"process {rank} has {other.shown(what, first)}, process 0 has"
                    f" {first.shown(what, other)}; all {world.size} need the same"
                )


_CHECKPOINT = "checkpoint to resume from"


@dataclass(frozen=True)
class _Given:
    """What one process has been given."""

    facts: Mapping[str, Any]
    config: Mapping[str, Any]
    root: str
    checkpoint: str

    def shown(self, what: str, other: _Given) -> str:
        """Return a fact, as it differs from that of another process, and where."""
        value = self.facts[what]
        if what == _CHECKPOINT:
            return f"{'a' if value else 'no'} {what} at {self.checkpoint}"
        if isinstance(value, list):
            pairs = zip(value, other.facts[what], strict=True)
            return f"the class '{next(a for a, b in pairs if a != b)}' in {self.root}"
        shown = f"other {what}" if isinstance(value, str) else f"{value} {what}"
        return f"{shown} in {self.root}"


def require_room(cfg: CfgNode, processes: int, *, training: int, validation: int) -> None:
    """Refuse workers that would wait for ever, since ``/dev/shm`` has no room for their batches.

    Args:
        cfg: a pretraining config.
        processes: that share a batch of training.
        training: batches of the whole run; 0 trains nothing.
        validation: images.

    Raises:
        UserError: see :func:`require_shared_memory`.
    """
    image = 3 * cfg.DATA.IMAGE_SIZE**2  # bytes
    size = min(cfg.EVAL.BATCH_SIZE, -(-validation // processes))
    # both are alive during validation
    loaders = [
        (image * cfg.TRAIN.BATCH_SIZE // processes, training),
        (image * size, -(-validation // (processes * max(size, 1)))),
    ]
    require_shared_memory(loaders, cfg.DATA.WORKERS, "DATA.WORKERS")


def batches_of(
    cfg: CfgNode,
    data: ImageList,
    order: TrainBatches | EvalBatches,
    device: torch.device,
) -> Generator[Batch, None, None]:
    """Load batches in the given order, as a config says; see :func:`load_batches`."""
    workers, on_corrupt = cfg.DATA.WORKERS, cfg.DATA.ON_CORRUPT
    return load_batches(data, order, device, workers, on_corrupt, cfg.SEED)


def load_batches(
    data: ImageList,
    order: TrainBatches | EvalBatches,
    device: torch.device,
    workers: int,
    on_corrupt: str,
    seed: int = 0,
) -> Generator[Batch, None, None]:
    """Load batches in the given order.

    Args:
        data: the images.
        order: in which they come.
        device: where they will be needed.
        workers: processes that decode them; with 0 it is this one.
        on_corrupt: ``stop``, or ``skip`` images that cannot be decoded.
        seed: of whatever the workers draw that no image's own seed decides.

    Raises:
        CorruptImageError: an image is corrupt, and such are not skipped.
        UserError: so are all that could stand in for it.
    """
    loader = DataLoader(
        data,
        batch_sampler=order,
        num_workers=workers,
        collate_fn=collate,
        pin_memory=device.type == "cuda",
        worker_init_fn=leave_to_parent,
        # its own: a loader draws a number from the global one whenever it starts, and a resumed
        # run starts another number of loaders
        generator=torch.Generator().manual_seed(seed),
    )
    for batch in loaded(loader):
        if batch.corrupt and on_corrupt == "stop":
            raise CorruptImageError(
                f"cannot decode {batch.corrupt[0]}",
                "put a whole image in its place, or set DATA.ON_CORRUPT skip",
            )
        if batch.hopeless:
            raise UserError(
                f"cannot decode {batch.corrupt[0]}, nor any of the images after it",
                "put whole images in their place",
            )
        yield batch
