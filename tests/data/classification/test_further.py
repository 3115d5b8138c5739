"""What follows the crop: statistics of its draws, and the same after either decoder."""

from __future__ import annotations

import pickle
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torchvision.transforms import v2

from robust_det.data.classification.crops import train_transform
from robust_det.data.classification.further import Lighting, further_steps

# the published decomposition of ImageNet's colours
VALUES = np.array([0.2175, 0.0188, 0.0045])
VECTORS = np.array(
    [[-0.5675, 0.7192, 0.4009], [-0.5808, -0.0045, -0.8140], [-0.5836, -0.6948, 0.4203]]
)
COLOUR = torch.tensor([1, 2, 3], dtype=torch.uint8)[:, None, None]


@pytest.fixture(autouse=True)
def seed() -> None:
    torch.manual_seed(0)


def test_lighting_has_the_covariance_of_the_paper() -> None:
    grey = torch.full((3, 2, 2), 128, dtype=torch.uint8)
    images = torch.stack([Lighting(0.4)(grey) for _ in range(6000)]).int() - 128
    assert (images == images[:, :, :1, :1]).all()  # one colour for all of an image
    shifts = images[:, :, 0, 0].numpy().astype(np.float64)
    expected = VECTORS @ np.diag((255 * 0.4 * VALUES) ** 2) @ VECTORS.T
    expected += np.eye(3) / 12  # of the rounding
    np.testing.assert_allclose(np.cov(shifts.T), expected, rtol=0.06)
    assert np.abs(shifts.mean(0)).max() < 0.6  # of deviations of 13
    np.testing.assert_allclose(VECTORS.T @ VECTORS, np.eye(3), atol=2e-3)


@pytest.mark.parametrize("level", [0, 255])
def test_lighting_stays_among_the_levels(level: int) -> None:
    image = torch.full((3, 2, 2), level, dtype=torch.uint8)
    found = torch.stack([Lighting(0.1)(image) for _ in range(50)])
    assert found.dtype == torch.uint8
    assert (found == level).any() and (found != level).any()
    assert (found.int() - level).abs().max() < 50  # and has not gone round


def test_erasing_takes_its_share_of_images_and_of_their_area() -> None:
    (erase,) = further_steps(erasing=0.25)
    image = COLOUR.expand(3, 32, 32)
    erased = [(erase(image) != COLOUR).all(0) for _ in range(2000)]
    shares = np.array([float(mask.float().mean()) for mask in erased])
    assert abs((shares > 0).mean() - 0.25) < 3 * (0.25 * 0.75 / 2000) ** 0.5
    areas = shares[shares > 0]
    assert areas.min() > 0.015 and areas.max() < 0.35
    assert abs(areas.mean() - (0.02 + 0.33) / 2) < 0.015
    (always,) = further_steps(erasing=1.0)
    colours = {tuple(pixel) for pixel in always(image).flatten(1).T.tolist()}
    assert colours == {(1, 2, 3), (124, 116, 104)}


def test_rand_augment_is_torchvisions() -> None:
    image = torch.randint(0, 256, (3, 16, 16), dtype=torch.uint8)
    (ours,) = further_steps((2, 9))
    changed = 0
    for number in range(20):
        torch.manual_seed(number)
        found = ours(image)
        torch.manual_seed(number)
        assert torch.equal(found, v2.RandAugment(num_ops=2, magnitude=9)(image))
        changed += not torch.equal(found, image)
    assert changed > 10


def test_all_follow_the_crop_in_their_order(tmp_path: Path) -> None:
    path = str(tmp_path / "image.png")
    pixels = np.random.default_rng(0).integers(0, 256, (40, 50, 3)).astype(np.uint8)
    Image.fromarray(pixels).save(path)
    steps = further_steps((1, 9), 0.1, 1.0)
    assert [type(step).__name__ for step in steps] == ["RandAugment", "Lighting", "RandomErasing"]
    assert further_steps() == []
    for exact in (False, True):
        plain = train_transform(24, (0.3, 1.0), True, 0.2, exact=exact)
        ours = train_transform(24, (0.3, 1.0), True, 0.2, exact=exact, further=steps)
        copy = pickle.loads(pickle.dumps(ours))  # as spawned workers get it
        for number in range(5):
            torch.manual_seed(number)
            expected = plain(path)
            for step in steps:
                expected = step(expected)
            for transform in (ours, copy):
                torch.manual_seed(number)
                assert torch.equal(transform(path), expected)
