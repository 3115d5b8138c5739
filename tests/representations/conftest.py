"""Small networks of several trainings, and images that they are asked on."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from robust_det.checkpoints.io import save_checkpoint
from robust_det.checkpoints.pretrained import FORMAT
from robust_det.core.files import sha256_file
from robust_det.models import ModelCard, build_classifier
from robust_det.records import write_record
from robust_det.records.base import File, Weights, as_json
from robust_det.records.pretrain import ImageSets, PretrainRecord, TrainImages, ValImages
from tests.support.transfer_records import ENVIRONMENT

MEAN, STD = (0.41, 0.52, 0.63), (0.21, 0.25, 0.3)
CLASSES = ("Cat", "dog ", "n02504013", "other")  # the third is an elephant

Write = Callable[..., Path]


@pytest.fixture
def write_network(tmp_path: Path, randomise: Callable[..., Any]) -> Write:
    """Return a function that writes a classifier as a pretraining does, other weights by seed."""

    def write(
        name: str,
        seed: int = 0,
        eps: float = 0.0,
        arch: str = "resnet10_narrow",
        size: int = 48,
        classes: tuple[str, ...] = CLASSES,
        change: Callable[[dict[str, torch.Tensor]], None] = lambda state: None,
    ) -> Path:
        torch.manual_seed(seed)
        body = randomise(build_classifier(arch, len(classes), MEAN, STD), seed).body
        card = ModelCard(arch, "l2", eps, MEAN, STD, size, classes)
        state = body.state_dict()
        change(state)
        path = tmp_path / "networks" / f"{name}.pth"
        path.parent.mkdir(exist_ok=True)
        save_checkpoint(path, {"format": FORMAT, "meta": card.plain(), "model": state})
        return path

    return write


@pytest.fixture(autouse=True)
def fresh_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A cache of each test's own."""
    monkeypatch.setenv("ROBUST_DET_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def write_noise(path: Path, seed: int, size: tuple[int, int] = (52, 49)) -> Path:
    """Write an image of coarse noise."""
    rng = np.random.default_rng(seed)
    coarse = rng.integers(0, 255, (7, 7, 3)).astype(np.uint8)
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(coarse).resize(size).save(path)
    return path


@pytest.fixture
def images(tmp_path: Path) -> Path:
    """A folder of twelve."""
    for number in range(12):
        write_noise(tmp_path / f"images/{number:02}.png", number)
    return tmp_path / "images"


def write_beside(path: Path, arch: str, seed: int, start: File | None) -> None:
    """Write the record of a pretraining beside its file."""
    record = PretrainRecord(
        name="run",
        arch=arch,
        norm="l2",
        eps=0.0,
        weights=Weights(str(path), sha256_file(path)),
        seed=seed,
        raw_config=as_json({}),
        environment=ENVIRONMENT,
        wall_time_s=1.0,
        data=ImageSets(TrainImages(100, 10), ValImages(50)),
        evaluators=[],
        metrics={"clean_top1": 50.0},
        processes=1,
        started_from=start,
    )
    write_record(path.parent, record)
