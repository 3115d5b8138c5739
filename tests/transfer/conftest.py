"""A small backbone with a card, and sets of images of few colours that it can tell apart."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from robust_det.checkpoints.io import save_checkpoint
from robust_det.checkpoints.pretrained import FORMAT
from robust_det.models import ModelCard, build_classifier
from tests.support.sgd_transfer import Transfer, colours

COLOURS = {"blue": (40, 60, 200), "green": (50, 180, 60), "red": (200, 50, 40)}
SIZE = 32


def write_image(path: Path, colour: tuple[int, int, int], seed: int) -> None:
    """Write a square of a colour with noise that no other seed has."""
    noise = np.random.default_rng(seed).normal(0, 60, (SIZE, SIZE, 3))
    pixels = np.clip(np.array(colour) + noise, 0, 255).astype(np.uint8)
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path)


def write_folders(root: Path, counts: dict[str, int], classes: tuple[str, ...]) -> Path:
    """Write ``split/class/*.png``, so many of each class by split."""
    seed = 0
    for split, count in counts.items():
        for name in classes:
            for i in range(count):
                write_image(root / split / name / f"{i:02d}.png", COLOURS[name], seed)
                seed += 1
    return root


def write_backbone(path: Path, eps: float | None = 0.5, seed: int = 0) -> Path:
    """Write a random classifier of four classes."""
    torch.manual_seed(seed)
    model = build_classifier("resnet10_narrow", 4)
    card = ModelCard(
        "resnet10_narrow",
        "" if eps is None else "l2",
        eps,
        (0.5, 0.5, 0.5),
        (0.25, 0.25, 0.25),
        SIZE,
        ("a", "b", "c", "d"),
    )
    content = {"format": FORMAT, "meta": card.plain(), "model": model.body.state_dict()}
    save_checkpoint(path, content)
    return path


@pytest.fixture
def backbone(tmp_path: Path) -> Path:
    return write_backbone(tmp_path / "backbone.pth")


@pytest.fixture
def images(tmp_path: Path) -> Path:
    """``train`` of eight and ``test`` of four images of three classes each."""
    return write_folders(tmp_path / "images", {"train": 8, "test": 4}, tuple(COLOURS))


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Keep caches of tests apart."""
    monkeypatch.setenv("ROBUST_DET_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


Overrides = Callable[..., list[str]]


@pytest.fixture
def overrides(images: Path, tmp_path: Path) -> Overrides:
    """Return the pairs of a small run, and more."""

    def make(*more: str, output: str = "run") -> list[str]:
        return [
            *("DATA.ROOT", str(images), "OUTPUT_DIR", str(tmp_path / output)),
            *("DATA.WORKERS", "0", "TRANSFER.STRENGTHS", "5", "EVAL.EPS", "0"),
            *more,
        ]

    return make


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return colours(tmp_path_factory.mktemp("colours"))


@pytest.fixture
def transfer(root: Path, classifier_file: Path, tmp_path: Path) -> Transfer:
    return Transfer(root, classifier_file, tmp_path / "run")
