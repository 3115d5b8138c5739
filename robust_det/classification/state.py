"""Saving and restoring a run in mid-epoch, so that it continues bit-exactly on the CPU."""

from __future__ import annotations

import random
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.optim.swa_utils import AveragedModel

from robust_det.checkpoints.io import save_checkpoint
from robust_det.checkpoints.pretrained import FORMAT, read_pretrained
from robust_det.checkpoints.state_dicts import load_state
from robust_det.core.config import CfgNode, config_differences, flatten, to_dict
from robust_det.core.errors import UserError
from robust_det.models import ModelCard
from robust_det.training.world import World

__all__ = ["Progress", "TrainingState", "refuse_other_config"]

# keys that change where or how fast a run goes, but not what it computes
_FREE_KEYS = ("OUTPUT_DIR", "DATA.ROOT", "DATA.WORKERS", "TRAIN.CHECKPOINT_STEPS")

# what was done before there was a key for it: files of earlier versions lack these
_BEFORE = {
    "ATTACK.FOLD_NORMS": False,
    "ATTACK.OBJECTIVE": "cross_entropy",
    "EVAL.OBJECTIVE": "cross_entropy",
    "EVAL.RESTARTS": 1,
}


@dataclass
class Progress:
    """How far a run is, and the sums of the current epoch.

    Attributes:
        step: optimiser steps done.
        loss, correct, images, corrupt: sums over the steps of the current epoch, this process.
        best: best selection metric so far, in percent.
        seconds: training time so far, over all sessions.
    """

    step: int = 0
    loss: float = 0.0
    correct: int = 0
    images: int = 0
    corrupt: int = 0
    best: float = -1.0
    seconds: float = 0.0


def _rng_state() -> dict[str, Any]:
    version, internal, gauss = random.getstate()
    state: Any = np.random.get_state()
    name, keys, position, has_gauss, cached = state
    return {
        "torch": torch.get_rng_state(),
        # of this process's GPU alone: the others belong to other processes
        "cuda": [torch.cuda.get_rng_state()] if torch.cuda.is_available() else [],
        "python": [version, list(internal), gauss],
        "numpy": [str(name), torch.from_numpy(keys.astype(np.int64)), position, has_gauss, cached],
    }


def _restore_rng(state: dict[str, Any]) -> None:
    version, internal, gauss = state["python"]
    random.setstate((version, tuple(internal), gauss))
    name, keys, position, has_gauss, cached = state["numpy"]
    np.random.set_state((name, keys.numpy().astype(np.uint32), position, has_gauss, cached))
    torch.set_rng_state(state["torch"])
    if torch.cuda.is_available() and len(state["cuda"]) == 1:
        torch.cuda.set_rng_state(state["cuda"][0])


@dataclass
class TrainingState:
    """All that changes while training.

    Args:
        card: describes the model in the file.
        cfg: the run's config, stored beside it.
        body: the network, without normalisation and DDP.
        ema: its moving average, or None.
        optimizer, scaler, progress: as they are.
        train_images: size of the training split; another one would be another order of images.
    """

    card: ModelCard
    cfg: CfgNode
    body: nn.Module
    ema: AveragedModel | None
    optimizer: torch.optim.Optimizer
    scaler: torch.amp.GradScaler
    progress: Progress
    train_images: int = 0

    def save(self, path: Path, world: World) -> None:
        """Write everything; a collective call, the main process writes."""
        rng = world.gather(_rng_state())
        progress = world.gather(asdict(self.progress))
        if world.is_main:
            content = self.weights()
            content["optimizer"] = self.optimizer.state_dict()
            content["scaler"] = self.scaler.state_dict()
            content["rng"] = rng
            content["progress"] = progress
            content["train_images"] = self.train_images
            save_checkpoint(path, content)
        world.barrier()

    def weights(self) -> dict[str, Any]:
        """Return the content of a checkpoint without what only resuming needs."""
        content: dict[str, Any] = {
            "format": FORMAT,
            "meta": self.card.plain(),
            "config": to_dict(self.cfg),
            "step": self.progress.step,
            "model": self.body.state_dict(),
        }
        if self.ema is not None:
            content["ema"] = self.ema.module.state_dict()
            content["ema_updates"] = int(self.ema.n_averaged)
        return content

    def restore(self, path: Path, world: World) -> None:
        """Load everything back.

        Raises:
            UserError: not a checkpoint of this run, or one that cannot be resumed from.
        """
        card, content = read_pretrained(path)
        lacking = {"config", "optimizer", "scaler", "rng", "progress"} - set(content)
        if lacking:
            raise UserError(f"{path} holds weights only; a run resumes from its last.pth")
        refuse_other_config(content["config"], self.cfg, path)
        if card != self.card:
            raise UserError(f"{path} was made with other classes; the data at DATA.ROOT changed")
        # absent from the files of earlier versions
        images = content.get("train_images", self.train_images)
        if images != self.train_images:
            raise UserError(
                f"{path} was made with {images} training images, DATA.ROOT has {self.train_images}"
            )
        if len(content["rng"]) != world.size:
            raise UserError(
                f"{path} was written by {len(content['rng'])} processes, this run has {world.size};"
                " start as many to resume"
            )
        load_state(self.body, content["model"], str(path))
        if self.ema is not None:
            load_state(self.ema.module, content["ema"], str(path))
            self.ema.n_averaged.fill_(content["ema_updates"])
        self.optimizer.load_state_dict(content["optimizer"])
        self.scaler.load_state_dict(content["scaler"])
        self.progress = Progress(**content["progress"][world.rank])
        _restore_rng(content["rng"][world.rank])


def refuse_other_config(old: dict[str, Any], cfg: CfgNode, path: Path) -> None:
    """Refuse to continue a run with a config that computes something else.

    Raises:
        UserError: lists the differing keys.
    """
    differing = config_differences({**_BEFORE, **flatten(old)}, cfg, ignore=_FREE_KEYS)
    if differing:
        raise UserError(
            f"{path} is of a run with another config ({'; '.join(differing)});"
            " use that config or another OUTPUT_DIR"
        )
