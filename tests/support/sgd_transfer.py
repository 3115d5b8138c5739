"""Tiny transfers by SGD: images whose colour tells their class, and a network of 32 px."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image

from robust_det.checkpoints.model_file import read_model
from robust_det.core.config.reading import CfgNode
from robust_det.core.files import sha256_file
from robust_det.training.world import World
from robust_det.transfer.given import Given
from robust_det.transfer.resolve import resolved
from robust_det.transfer.sets import TransferSet, open_set
from robust_det.transfer.settings import explain
from robust_det.transfer.sgd.outcome import Outcome
from robust_det.transfer.sgd.train import train_by_sgd

__all__ = ["CLASSES", "Transfer", "colours", "state_of", "tensors"]

CLASSES = ("amber", "blue", "green")
TRAIN, TEST = 10, 6
_TINY = {
    "DEVICE": "cpu",
    "DATA.IMAGE_SIZE": 32,
    "DATA.RESIZE": 32,
    "DATA.WORKERS": 0,
    "TRAIN.EPOCHS": 2,
    "TRAIN.BATCH_SIZE": 6,
    "EVAL.EPS": 0,
    "EVAL.STEPS": 1,
}


def colours(root: Path, test_shift: int = 0) -> Path:
    """Write folders of classes: 10 training and 6 test images each, of 32 px.

    Args:
        root: gets them.
        test_shift: by which the classes of test images are turned.
    """
    number = 0
    for hue in range(len(CLASSES)):
        for split, count, shift in (("train", TRAIN, 0), ("test", TEST, test_shift)):
            folder = root / split / CLASSES[(hue + shift) % len(CLASSES)]
            folder.mkdir(parents=True, exist_ok=True)
            for _ in range(count):
                number += 1
                rng = np.random.default_rng(number)
                pixels = rng.integers(0, 190, (32, 32, 3))
                pixels[..., hue] += 60
                name = f"{number:03d}.png"  # of one content wherever it is
                Image.fromarray(pixels.astype(np.uint8)).save(folder / name)
    return root


@dataclasses.dataclass
class Transfer:
    """A transfer that can be run.

    Attributes:
        root: of the images.
        backbone: the file.
        output: the folder.
        settings: those that all runs have.
    """

    root: Path
    backbone: Path
    output: Path
    settings: dict[str, Any] = dataclasses.field(default_factory=dict)

    def cfg(self, **settings: Any) -> CfgNode:
        """Return the resolved config; ``TRAIN__EPOCHS`` stands for ``TRAIN.EPOCHS``."""
        own = {key.replace("__", "."): value for key, value in settings.items()}
        keys = {
            **_TINY,
            "DATA.ROOT": str(self.root),
            "OUTPUT_DIR": str(self.output),
            **self.settings,
            **own,
        }
        cfg, _ = explain(None, [str(word) for pair in keys.items() for word in pair])
        return resolved(cfg, read_model(self.backbone), str(self.backbone))[0]

    def data(self, **settings: Any) -> TransferSet:
        """Return the images."""
        return open_set(self.cfg(**settings))

    def __call__(
        self,
        *,
        resume: bool = False,
        change: Callable[[TransferSet], TransferSet] = lambda data: data,
        **settings: Any,
    ) -> Outcome:
        """Run it."""
        cfg = self.cfg(**settings)
        given = Given(
            cfg,
            read_model(self.backbone),
            self.backbone,
            sha256_file(self.backbone),
            change(open_set(cfg)),
            torch.device("cpu"),
            World(),
            resume,
        )
        return train_by_sgd(given, self.output)


def state_of(path: Path) -> dict[str, Any]:
    """Return the content of a checkpoint."""
    content: dict[str, Any] = torch.load(path, weights_only=True)
    return content


def tensors(path: Path) -> dict[str, torch.Tensor]:
    """Return the weights in a checkpoint."""
    found: dict[str, torch.Tensor] = state_of(path)["model"]
    return found
