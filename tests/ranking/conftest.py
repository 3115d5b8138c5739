"""Small backbones that differ, and what they are ranked on."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from robust_det.checkpoints.io import save_checkpoint
from robust_det.checkpoints.pretrained import FORMAT
from robust_det.models import ModelCard, build_classifier

MEAN, STD = (0.41, 0.52, 0.63), (0.21, 0.25, 0.3)
WriteBackbone = Callable[..., Path]


@pytest.fixture(scope="session")
def write_backbone(randomise: Callable[..., Any]) -> WriteBackbone:
    """Return a function that writes a classifier as a pretraining does, other weights by seed."""

    def write(
        path: Path,
        eps: float = 0.0,
        seed: int = 0,
        arch: str = "resnet10_narrow",
        norm: str = "l2",
        size: int = 48,
    ) -> Path:
        torch.manual_seed(seed)
        body = randomise(build_classifier(arch, 4, MEAN, STD), seed).body
        card = ModelCard(arch, norm, eps, MEAN, STD, size, ("a", "b", "c", "d"))
        save_checkpoint(path, {"format": FORMAT, "meta": card.plain(), "model": body.state_dict()})
        return path

    return write


@pytest.fixture(scope="session")
def backbones(tmp_path_factory: pytest.TempPathFactory, write_backbone: WriteBackbone) -> Path:
    """A folder of four: eps 0 twice, of two seeds, and eps 1 and 3."""
    folder = tmp_path_factory.mktemp("ranked")
    for seed, (name, eps) in enumerate((("eps0_a", 0), ("eps0_b", 0), ("eps1", 1), ("eps3", 3))):
        write_backbone(folder / f"{name}.pth", float(eps), seed)
    return folder


@pytest.fixture
def write_coco_file(tmp_path: Path, scenes: Path) -> Callable[..., Path]:
    """Return a function that writes the training scenes' annotations, changed, beside a link to
    their images."""

    def write(change: Callable[[dict[str, Any]], None] = lambda document: None) -> Path:
        document = json.loads((scenes / "annotations/instances_train.json").read_text())
        change(document)
        folder = tmp_path / "changed"
        folder.mkdir()
        (folder / "images").symlink_to(scenes / "train")
        path = folder / "annotations.json"
        path.write_text(json.dumps(document))
        return path

    return write
