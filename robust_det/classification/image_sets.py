"""From a pretraining config to batches: the data sets and their loaders."""

from __future__ import annotations

import logging
import os
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
from robust_det.data.classification.crops import Transform, eval_transform
from robust_det.data.classification.held_out import HeldOut, hold_out
from robust_det.data.classification.identity import in_both, names_digest
from robust_det.data.classification.image_folder import ImageFolder
from robust_det.data.classification.image_list import Batch, ImageList, collate
from robust_det.data.classification.layouts import has_split
from robust_det.data.classification.sampling import EvalBatches, TrainBatches
from robust_det.training.waiting import loaded, require_shared_memory
from robust_det.training.world import World

__all__ = [
    "CorruptImageError",
    "ImageSets",
    "batches_of",
    "image_sets",
    "load_batches",
    "require_room",
    "require_same_everywhere",
    "say_oddities",
    "validation_set",
]

logger = logging.getLogger(__name__)

# keys that may differ between the processes of a run
_OWN_KEYS = ("OUTPUT_DIR", "DATA.ROOT", "DATA.WORKERS", "DEVICE")


class CorruptImageError(UserError):
    """An image of the data set cannot be decoded."""


@dataclass(frozen=True)
class ImageSets:
    """The images of a run.

    Attributes:
        train, val: to train on, and to validate on.
        held_out: how ``val`` was split off the training images; None where it lies apart.
    """

    train: ImageList
    val: ImageList
    held_out: HeldOut | None = None


def image_sets(cfg: CfgNode) -> ImageSets:
    """Open the images of ``DATA.ROOT``: to train on with the config's augmentation, and to validate
    on, whose pixels are always Pillow's.

    Raises:
        UserError: fewer than two classes; validation images that are trained on, or of other
            classes; or see :class:`ImageFolder`.
    """
    skip = cfg.DATA.ON_CORRUPT == "skip"
    train = ImageFolder(cfg.DATA.ROOT, "train", augmentation(cfg), seed=cfg.SEED, substitute=skip)
    if len(train.classes) < 2:
        hint = "".join(f"; {note}" for note in train.notes)
        raise UserError(
            f"{train.folder} has one class folder, {train.classes[0]}, and a classifier needs two"
            f" or more{hint}"
        )
    if cfg.DATA.VAL_FRACTION > 0:
        return _split(cfg, train)
    val = _validation_folder(cfg, train.classes)
    _refuse_shared_folders(train, val)
    return ImageSets(train, val)


def validation_set(cfg: CfgNode) -> tuple[ImageList, HeldOut | None]:
    """Open the validation images alone, and return how they were split off, if they were.

    Raises:
        UserError: see :func:`image_sets`.
    """
    if cfg.DATA.VAL_FRACTION > 0:
        sets = _split(cfg, ImageFolder(cfg.DATA.ROOT, "train", _central_crop(cfg)))
        sets.val.notes = sets.train.notes
        return sets.val, sets.held_out
    return _validation_folder(cfg), None


def _split(cfg: CfgNode, data: ImageFolder) -> ImageSets:
    """Split a part of the training images off."""
    fraction, seed = cfg.DATA.VAL_FRACTION, cfg.DATA.VAL_SEED
    train, val, held_out = hold_out(data, fraction, seed)
    val.transform, val.substitute, val.seed, val.notes = _central_crop(cfg), False, 0, ()
    usual = cfg.DATA.VAL
    if has_split(root := Path(cfg.DATA.ROOT).expanduser(), usual):
        note = (
            f"{root} has {usual} as well, which is not read: DATA.VAL_FRACTION {fraction:g} counts"
        )
        train.notes = (*train.notes, note)
    return ImageSets(train, val, held_out)


def _validation_folder(cfg: CfgNode, classes: list[str] | None = None) -> ImageFolder:
    """Open ``DATA.VAL``, which must have the classes that are given."""
    root, name = Path(cfg.DATA.ROOT).expanduser(), cfg.DATA.VAL
    train, val = (os.path.realpath(root / each) for each in ("train", name))
    if os.path.isdir(train) and os.path.isdir(val):
        shared = os.path.commonpath([train, val])
        if shared in (train, val):
            what = {train: "lies in", val: "holds"}[shared] if train != val else "is"
            raise UserError(
                f"DATA.VAL {name} {what} the folder of the training images",
                "give another one, or set DATA.VAL_FRACTION, such as 0.1, to split a part of them"
                " off",
            )
    return ImageFolder(root, name, _central_crop(cfg), classes=classes)


def _refuse_shared_folders(train: ImageList, val: ImageList) -> None:
    """Refuse a class folder that a link makes one of training and of validation."""
    for name in train.classes:
        ours, theirs = (os.path.join(each.folder, name) for each in (train, val))
        if os.path.isdir(ours) and os.path.isdir(theirs) and os.path.samefile(ours, theirs):
            raise UserError(
                f"{theirs} is {ours}, so that its images are trained on",
                "put images of their own there",
            )


def _central_crop(cfg: CfgNode) -> Transform:
    return eval_transform(cfg.DATA.RESIZE, cfg.DATA.IMAGE_SIZE)


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
        UserError: so are all that could stand in for it; or an image has another content than
            its list says.
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
        if batch.foreign:
            raise UserError(
                f"{batch.foreign[0]} has another content than the manifest says",
                "give the folder that the manifest was made of, or make it again with robust-det"
                " transfer-data check --manifest",
            )
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
