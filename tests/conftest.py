"""Fixtures that several folders share."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

TRAIN_IMAGES, VAL_IMAGES = 12, 5


def write_image(path: Path, seed: int, hue: int) -> None:
    """Write a small noisy image whose colour tells its class; JPEG or PNG by the name."""
    rng = np.random.default_rng(seed)
    width, height = int(rng.integers(34, 48)), int(rng.integers(34, 48))
    pixels = rng.integers(0, 90, (height, width, 3))
    pixels[..., hue % 3] += 120
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels.astype(np.uint8)).save(path)


@pytest.fixture(scope="session")
def image_tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An ImageFolder tree: 3 classes, 12 training and 5 validation images each. Do not change it;
    ``shutil.copytree`` it first."""
    root = tmp_path_factory.mktemp("images")
    seed = 0
    for hue, name in enumerate(("blue", "green", "red")):
        for split, count in (("train", TRAIN_IMAGES), ("val", VAL_IMAGES)):
            for i in range(count):
                seed += 1
                suffix = "jpg" if i % 2 else "png"
                write_image(root / split / name / f"{i:02d}.{suffix}", seed, hue)
    return root
