"""What a transfer by SGD is given, and its runs."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from robust_det.checkpoints.model import Model
from robust_det.classification.starting import Start
from robust_det.core.config.reading import CfgNode
from robust_det.training.world import World
from robust_det.transfer.sets import TransferSet

__all__ = ["Given", "Run"]


@dataclass(frozen=True)
class Given:
    """What all runs of a transfer are given.

    Attributes:
        cfg: a resolved config.
        model, path, sha256: the backbone, and its file.
        data: the set.
        device, world: where it runs, and beside whom.
        resume: whether runs that are there may be gone on with.
    """

    cfg: CfgNode
    model: Model
    path: Path
    sha256: str
    data: TransferSet
    device: torch.device
    world: World
    resume: bool


@dataclass(frozen=True)
class Run:
    """One run of training.

    Attributes:
        folder: its own.
        cfg: with one learning rate and one weight decay.
        head_alone: whether the last layer learns alone.
        trained: the split that is trained on.
        judged: the split that is validated on; empty if none is.
        start: the weights to start from.
        new_head: whether their last layer is replaced.
        epochs: after which it ends, within the schedule of ``TRAIN.EPOCHS``.
        patience: see :class:`~robust_det.training.engine.Plan`.
    """

    folder: Path
    cfg: CfgNode
    head_alone: bool
    trained: str
    judged: str
    start: Start
    new_head: bool
    epochs: int
    patience: int = 0

    def said(self) -> dict[str, Any]:
        """Return what a checkpoint says of it beside its config."""
        return {
            "head_alone": self.head_alone,
            "trained": self.trained,
            "judged": self.judged,
            "epochs": self.epochs,
            "started_from": self.start.sha256,
        }
