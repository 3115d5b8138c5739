from __future__ import annotations

import pytest
import torch
from torch.nn import functional as F

from robust_det.probes.cross_entropy import curvature
from robust_det.probes.preconditioner import Preconditioner, images_of_a_block


@pytest.fixture
def noise() -> torch.Generator:
    return torch.Generator().manual_seed(0)


def draw(noise: torch.Generator, *shape: int) -> torch.Tensor:
    return torch.randn(*shape, generator=noise, dtype=torch.float64)


def hessian(scores: torch.Tensor, at: torch.Tensor) -> torch.Tensor:
    """Return that of the mean cross-entropy, by autograd, (K, R + 1, K, R + 1)."""
    labels = torch.zeros(len(scores), dtype=torch.int64)  # which do not count in it
    ones = torch.cat([scores, torch.ones(len(scores), 1).double()], 1)
    found = torch.autograd.functional.hessian(lambda w: F.cross_entropy(ones @ w.T, labels), at)
    assert isinstance(found, torch.Tensor)
    return found


def test_of_all_images_it_is_the_inverse_of_each_classs_block(noise: torch.Generator) -> None:
    scores, at = draw(noise, 50, 6), draw(noise, 4, 7)
    ridge = torch.full_like(at, 0.01)
    curved = curvature(scores, at, 50)
    assert curved.share == pytest.approx(1)
    blocks = torch.stack([block[:, k] for k, block in enumerate(hessian(scores, at))])
    torch.testing.assert_close(curved.diagonal, blocks.diagonal(dim1=1, dim2=2))
    gradient = draw(noise, 4, 7)
    gradient -= gradient.mean(0)
    expected = torch.linalg.solve(blocks + 0.01 * torch.eye(7).double(), gradient)
    found = Preconditioner(scores, curved, ridge)(gradient)
    torch.testing.assert_close(found, expected - expected.mean(0))


def test_the_images_that_weigh_most_are_kept_and_of_others_the_diagonal(
    noise: torch.Generator,
) -> None:
    # several blocks of images
    scores, at = draw(noise, 5000, 3), 3 * draw(noise, 4, 4)
    curved = curvature(scores, at, 600)
    shares = F.softmax(scores @ at[:, :-1].T + at[:, -1], 1)
    weights = (shares * (1 - shares)).T
    most = weights.sort(1, descending=True)
    assert torch.equal(curved.images.sort(1).values, most.indices[:, :600].sort(1).values)
    assert curved.share == pytest.approx(float(most.values[:, :600].sum() / weights.sum()))
    gradient = draw(noise, 4, 4)
    gradient -= gradient.mean(0)
    expected = []
    for of_class, images, one in zip(weights, curved.images, gradient, strict=True):
        ones = torch.cat([scores, torch.ones(5000, 1).double()], 1)
        every = (ones.T * of_class) @ ones / 5000
        kept = (ones[images].T * of_class[images]) @ ones[images] / 5000
        kept.diagonal().copy_(every.diagonal())
        expected.append(torch.linalg.solve(kept, one))
    found = Preconditioner(scores, curved, torch.zeros_like(at))(gradient)
    torch.testing.assert_close(found, torch.stack(expected) - torch.stack(expected).mean(0))


def test_where_all_images_weigh_alike_the_diagonal_is_all(noise: torch.Generator) -> None:
    scores, at = draw(noise, 1000, 5), torch.zeros(3, 6).double()
    curved = curvature(scores, at, 100)
    assert curved.share == pytest.approx(0.1)
    gradient = draw(noise, 3, 6)
    expected = gradient / (curved.diagonal + 0.5)
    found = Preconditioner(scores, curved, torch.full_like(at, 0.5))(gradient)
    torch.testing.assert_close(found, expected - expected.mean(0))


def test_blocks_leave_the_trailing_scores_where_they_would_take_more_memory_than_the_scores(
    noise: torch.Generator,
) -> None:
    scores, at = draw(noise, 40, 400), draw(noise, 30, 401)
    kept = images_of_a_block(scores, 30)
    assert kept == 40
    curved = curvature(scores, at, kept)
    gradient = draw(noise, 30, 401)
    gradient -= gradient.mean(0)
    ridge = torch.full_like(at, 0.01)
    change = Preconditioner(scores, curved, ridge)(gradient) - (
        lambda plain: plain - plain.mean(0)
    )(gradient / (curved.diagonal + ridge))
    # (12 * 40 * 400) ** (1 / 3) = 57.7
    assert change[:, 57:-1].abs().max() < 1e-12 < change[:, :57].abs().min()
