"""Mixup and CutMix against their formulas: lambda x_i + (1 - lambda) x_j, of images and targets."""

from __future__ import annotations

import random

import numpy as np
import pytest
import torch

from robust_det.core.errors import UserError
from robust_det.data.classification.mixing import Mixing

TARGETS = torch.tensor([0, 3, 1, 4])
IMAGES = torch.randint(
    0, 256, (4, 3, 16, 12), dtype=torch.uint8, generator=torch.Generator().manual_seed(0)
)


def share(soft: torch.Tensor) -> float:
    """Return lambda, which neighbours of other classes tell, and check the rows of all."""
    found = float(soft[0, 0])
    expected = torch.zeros(4, 5)
    for row, (own, other) in enumerate(zip([0, 3, 1, 4], [4, 0, 3, 1], strict=True)):
        expected[row, own], expected[row, other] = found, 1 - found
    torch.testing.assert_close(soft, expected)
    return found


@pytest.mark.parametrize("as_float", [False, True])
def test_mixup_by_hand(as_float: bool) -> None:
    pixels = IMAGES.double() / 255
    found = []
    for key in range(300):
        given = IMAGES.float() / 255 if as_float else IMAGES
        images, soft = Mixing(0.4, 0.0, 5)(given, TARGETS, 0, key)
        found.append(share(soft))
        by_hand = found[-1] * pixels + (1 - found[-1]) * pixels[[3, 0, 1, 2]]
        torch.testing.assert_close(images.double(), by_hand, atol=1e-6, rtol=0)
    # of Beta(a, a): mean 1/2, variance 1 / (4 (2 a + 1))
    assert np.mean(found) == pytest.approx(0.5, abs=0.07)
    assert np.var(found) == pytest.approx(1 / (4 * 1.8), rel=0.15)


def test_cutmix_by_hand() -> None:
    found = []
    for key in range(300):
        images, soft = Mixing(0.0, 1.0, 5)(IMAGES, TARGETS, 0, key)
        found.append(share(soft))
        pasted = (images != IMAGES).any(1)
        other = IMAGES[[3, 0, 1, 2]]
        assert torch.equal(images, torch.where(pasted[:, None], other, IMAGES))
        # one rectangle in all images, as large as the targets say
        box = pasted.any(0)
        rows, columns = box.any(1), box.any(0)
        assert torch.equal(box, rows[:, None] & columns)
        assert box.float().mean().item() == pytest.approx(1 - found[-1], abs=1e-6)
    assert 0.4 < np.mean(found) < 0.75  # rectangles at the border are cut off


def test_of_both_each_batch_is_of_one() -> None:
    kinds = [Mixing(1.0, 1.0, 5)(IMAGES, TARGETS, key)[0].is_floating_point() for key in range(300)]
    assert abs(np.mean(kinds) - 0.5) < 3 * 0.5 / 300**0.5


def test_draws_are_a_function_of_the_key_alone() -> None:
    mixing = Mixing(1.0, 0.0, 5)
    torch.manual_seed(3)
    random.seed(3)
    first = mixing(IMAGES, TARGETS, 0, 7)
    after = torch.rand(1), random.random()
    torch.manual_seed(3)
    random.seed(3)
    assert torch.equal(after[0], torch.rand(1)) and after[1] == random.random()
    again = mixing(IMAGES, TARGETS, 0, 7)
    assert all(torch.equal(a, b) for a, b in zip(first, again, strict=True))
    others = [mixing(IMAGES, TARGETS, *key)[1] for key in ((0, 8), (1, 7), (0, 7, 1))]
    assert not any(torch.equal(first[1], soft) for soft in others)


def test_soft_targets_and_single_images_are_refused() -> None:
    mixing = Mixing(1.0, 0.0, 5)
    soft = torch.eye(5)[TARGETS]
    for targets in (soft, soft[:, 0], soft.long()):
        with pytest.raises(UserError, match="soft already; give hard labels") as refused:
            mixing(IMAGES, targets, 0)
        assert "\n" not in str(refused.value)
    with pytest.raises(UserError, match=r"one a batch; raise TRAIN\.BATCH_SIZE"):
        mixing(IMAGES[:1], TARGETS[:1], 0)
