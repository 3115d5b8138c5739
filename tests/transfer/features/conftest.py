"""Images in a list, and a small network to extract their features with."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from robust_det.checkpoints.model import Model
from robust_det.data.classification.crops import eval_transform
from robust_det.data.classification.image_list import ImageList
from robust_det.data.classification.stores import FileStore
from robust_det.models import build_classifier
from robust_det.transfer.features.network import FeatureNetwork, feature_network

COUNT = 11
MEAN, STD = (0.41, 0.52, 0.63), (0.21, 0.25, 0.3)


def image_list(folder: Path) -> ImageList:
    names = sorted(path.name for path in folder.iterdir())
    targets = np.arange(len(names), dtype=np.int64) % 3
    transform = eval_transform(36, 32)
    store = FileStore(folder, [*map(os.fsencode, names)])
    return ImageList(store, targets, ["a", "b", "c"], transform)


@pytest.fixture
def images(tmp_path: Path) -> ImageList:
    """Eleven images of random pixels and three classes."""
    folder = tmp_path / "images"
    folder.mkdir()
    numbers = np.random.default_rng(0)
    for i in range(COUNT):
        pixels = numbers.integers(0, 256, (40 + i, 50, 3), np.uint8)
        Image.fromarray(pixels).save(folder / f"{i:02d}.png")
    return image_list(folder)


@pytest.fixture(scope="session")
def make_network(randomise: Callable) -> Callable[..., FeatureNetwork]:
    """Return a function that makes a network anew, of 128 features."""

    def make() -> FeatureNetwork:
        body = randomise(build_classifier("resnet10_narrow", 4)).body
        model = Model("resnet10_narrow", body.state_dict(), "test", mean=MEAN, std=STD)
        return feature_network(model, "x.pth")

    return make


@pytest.fixture
def network(make_network: Callable[[], FeatureNetwork]) -> FeatureNetwork:
    return make_network()
