from __future__ import annotations

import pytest
import torch
from torchvision.transforms import v2

from robust_det.data.classification.jitter import adjust_colours, jitter_colours


def pixels(*colours: tuple[int, int, int]) -> torch.Tensor:
    return torch.tensor(colours, dtype=torch.uint8).T.reshape(3, 1, -1)


def test_each_adjustment_in_numbers() -> None:
    image = pixels((100, 200, 30), (20, 40, 250))
    # greys: 150.71 and 57.958; their mean: 104.334
    black, mean_grey, grey = (adjust_colours(image, [(i, 0.0)]) for i in range(3))
    assert black.flatten().tolist() == [0] * 6
    assert mean_grey.flatten().tolist() == [104] * 6
    assert grey[:, 0].T.tolist() == [[151] * 3, [58] * 3]
    assert torch.equal(adjust_colours(image, [(0, 1.0), (1, 1.0), (2, 1.0)]), image)
    assert adjust_colours(image, [(0, 1.5)])[:, 0].T.tolist() == [[150, 255, 45], [30, 60, 255]]
    assert adjust_colours(image, [(1, 0.5)])[:, 0].T.tolist() == [[102, 152, 67], [62, 72, 177]]
    # in that order, and cut to the range in between
    both = adjust_colours(image, [(0, 2.0), (0, 0.5)])
    assert both[:, 0].T.tolist() == [[100, 128, 30], [20, 40, 128]]


def test_the_image_itself_stays() -> None:
    image = pixels((100, 200, 30))
    before = image.clone()
    adjust_colours(image, [(0, 0.5)])
    assert torch.equal(image, before)


@pytest.mark.parametrize("strength", [0.1, 0.4, 1.5])
def test_it_draws_and_computes_what_torchvision_does(strength: float) -> None:
    noise = torch.Generator().manual_seed(0)
    image = torch.randint(0, 256, (3, 40, 30), generator=noise, dtype=torch.uint8)
    torchvision = v2.ColorJitter(strength, strength, strength)
    results = set()
    for seed in range(30):
        torch.manual_seed(seed)
        theirs = torchvision(image)
        after = torch.rand(1)
        torch.manual_seed(seed)
        ours = jitter_colours(image, strength)
        assert torch.rand(1) == after
        # theirs cuts the fraction off, up to three times, and the next factor enlarges that
        apart = ours.int() - theirs.int()
        assert apart.abs().max() <= 2 + 2 * (1 + strength)
        results.add(ours.sum().item())
    assert len(results) > 20
