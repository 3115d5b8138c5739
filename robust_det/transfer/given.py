"""What a transfer is given."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import torch

from robust_det.checkpoints.model import Model
from robust_det.core.config.reading import CfgNode
from robust_det.training.world import World
from robust_det.transfer.sets import TransferSet

__all__ = ["Given"]


@dataclass(frozen=True)
class Given:
    """What a transfer is given, and all runs of training that it takes.

    Attributes:
        cfg: a resolved config.
        model, path, sha256: the backbone, and its file.
        data: the set.
        device, world: where it runs, and beside whom.
        resume: whether runs that are there may be gone on with.
        name: of the transfer.
    """

    cfg: CfgNode
    model: Model
    path: Path
    sha256: str
    data: TransferSet
    device: torch.device
    world: World
    resume: bool
    name: str = "transfer"
