"""Small backbones and trained detectors that are shown."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from robust_det.checkpoints.io import save_checkpoint
from robust_det.checkpoints.pretrained import FORMAT
from robust_det.models import ModelCard, build_classifier
from tests.support import tiny_detector
from tests.support.random_detectors import random_detector

MEAN, STD = (0.41, 0.52, 0.63), (0.21, 0.25, 0.3)
CLASSES = ("blue", "green", "red", "other")


@pytest.fixture(scope="session")
def write_network(randomise: Callable[..., Any]) -> Callable[..., Path]:
    """Return a function that writes a classifier as a pretraining does, other weights by seed."""

    def write(
        path: Path,
        seed: int = 0,
        arch: str = "resnet10_narrow",
        size: int = 48,
        classes: tuple[str, ...] = CLASSES,
    ) -> Path:
        torch.manual_seed(seed)
        body = randomise(build_classifier(arch, len(classes), MEAN, STD), seed).body
        card = ModelCard(arch, "l2", float(seed), MEAN, STD, size, classes)
        save_checkpoint(path, {"format": FORMAT, "meta": card.plain(), "model": body.state_dict()})
        return path

    return write


@pytest.fixture(scope="session")
def networks(tmp_path_factory: pytest.TempPathFactory, write_network: Any) -> list[Path]:
    """Two of one architecture."""
    folder = tmp_path_factory.mktemp("shown")
    return [write_network(folder / f"eps{seed}.pth", seed) for seed in (0, 1)]


@pytest.fixture(scope="session")
def make_detector(
    tmp_path_factory: pytest.TempPathFactory, scenes: Path, backbone_file: Path
) -> Callable[..., Path]:
    """Return a function that makes a detector of a kind, and gives its config."""
    made: dict[str, Path] = {}

    def make(kind: str) -> Path:
        if kind not in made:
            folder = tmp_path_factory.mktemp("detectors") / kind
            folder.mkdir()

            def write_config(**sections: Any) -> Path:
                return tiny_detector(
                    folder / "tiny.yaml", scenes, backbone_file, f"{kind}_scenes", **sections
                )

            made[kind] = random_detector(write_config, kind)
        return made[kind]

    return make
