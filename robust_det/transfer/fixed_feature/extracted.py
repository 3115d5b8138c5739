"""The features of a set's splits, extracted once for all seeds, subsets and heads."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch

from robust_det.checkpoints.model import Model
from robust_det.core.config.reading import CfgNode
from robust_det.core.errors import UserError, counted
from robust_det.data.transfer.manifest import Entry
from robust_det.transfer.features.extraction import Features
from robust_det.transfer.features.of_images import View, features_of_images
from robust_det.transfer.fixed_feature.heads import Labelled
from robust_det.transfer.resolve import normalisation
from robust_det.transfer.sets import TransferSet

__all__ = ["Extracted", "extracted"]


@dataclass(frozen=True)
class Extracted:
    """Features of the images of a set.

    Attributes:
        train, val, test: by split, those that a run uses; ``val`` may be empty.
        skipped: images that could not be read.
    """

    train: Labelled
    val: Labelled
    test: Labelled
    skipped: int

    def to(self, device: torch.device) -> Extracted:
        """Return all on a device, on which heads are then fitted."""
        train, val, test = (one.to(device) for one in (self.train, self.val, self.test))
        return Extracted(train, val, test, self.skipped)


def extracted(
    cfg: CfgNode,
    model: Model,
    sha256: str,
    data: TransferSet,
    device: torch.device,
    where: str,
) -> Extracted:
    """Return a set's features, from the cache where they are in it.

    Those of all training images are extracted, also where a run trains on some: other seeds and
    subsets then need none.

    Args:
        cfg: a resolved config.
        model, sha256: the backbone, and its file's hash.
        data: the set.
        device: where to run.
        where: the backbone's file, for messages.

    Raises:
        UserError: an image cannot be read, unless the config says to skip such.
    """
    own, (mean, std) = cfg.DATA, normalisation(cfg, model)
    view = View(own.IMAGE_SIZE, own.RESIZE, cfg.TRANSFER.DOWNSCALE, mean, std)

    def of(split: str) -> Features:
        return features_of_images(
            model,
            where,
            sha256,
            view,
            data.manifest,
            data.base,
            data.manifest.entries(split),
            name=f"the {split} split",
            device=device,
            batch_size=cfg.EVAL.BATCH_SIZE,
            workers=own.WORKERS,
            precision=cfg.TRAIN.PRECISION,
            on_corrupt=own.ON_CORRUPT,
        )

    trained, tested = of("training"), of("test")
    known = data.manifest.training
    splits = {
        name: _rows(trained, known, data.used.entries(name), name) for name in ("train", "val")
    }
    known_classes = set(trained.targets.tolist())
    if lost := [name for i, name in enumerate(data.classes) if i not in known_classes]:
        raise UserError(
            f"no training image of {counted(len(lost), 'class', 'es')} can be read, such as of"
            f" {lost[0]}",
            "put whole images in their place, or leave the classes out",
        )
    test = Labelled(tested.values, tested.targets)
    return Extracted(**splits, test=test, skipped=len(trained.corrupt) + len(tested.corrupt))


def _rows(
    features: Features, entries: Sequence[Entry], wanted: Sequence[Entry], split: str
) -> Labelled:
    """Return the features of some images."""
    rows: Mapping[Entry, int] = {
        entries[index]: row for row, index in enumerate(features.indices.tolist())
    }
    chosen = torch.tensor([rows[entry] for entry in wanted if entry in rows], dtype=torch.int64)
    if wanted and not len(chosen):
        raise UserError(
            f"none of the {counted(len(wanted), f'{split} image')} can be read; put whole images in"
            " their place"
        )
    return Labelled(features.values[chosen], features.targets[chosen])
