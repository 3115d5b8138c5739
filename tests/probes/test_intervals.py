from __future__ import annotations

import numpy as np
import pytest
import torch

from robust_det.analysis.significance.bootstrap import resample_weights
from robust_det.core.errors import UserError
from robust_det.probes import accuracy_interval, difference_interval


def hits(share: float, images: int, seed: int) -> torch.Tensor:
    return torch.rand(images, generator=torch.Generator().manual_seed(seed)) < share


def test_the_draws_and_percentiles_are_those_of_comparisons() -> None:
    one, other = hits(0.8, 400, 0), hits(0.7, 400, 1)
    weights = resample_weights(400, 500, seed=3)
    resampled = weights @ one.numpy() / 4.0
    found = accuracy_interval(one, 500, seed=3)
    assert found.value == pytest.approx(100 * float(one.double().mean()))
    assert (found.low, found.high) == pytest.approx(tuple(np.percentile(resampled, (2.5, 97.5))))

    paired = resampled - weights @ other.numpy() / 4.0
    found = difference_interval(one, other, 500, seed=3)
    assert (found.low, found.high) == pytest.approx(tuple(np.percentile(paired, (2.5, 97.5))))
    assert found.above == (paired > 0).mean() and found.below == (paired < 0).mean()
    wider = difference_interval(one, other, 500, seed=3, comparisons=10)
    assert wider.low < found.low < found.value < found.high < wider.high


def test_the_width_is_that_of_a_binomial() -> None:
    one = hits(0.7, 2000, 0)
    found = accuracy_interval(one)
    share = float(one.double().mean())
    expected = 2 * 1.96 * 100 * (share * (1 - share) / 2000) ** 0.5
    assert found.high - found.low == pytest.approx(expected, rel=0.1)


def test_a_pair_is_surer_than_two_heads_apart() -> None:
    one = hits(0.7, 2000, 0)
    other = one ^ hits(0.02, 2000, 1)
    alone, paired = accuracy_interval(one), difference_interval(one, other)
    assert paired.high - paired.low < (alone.high - alone.low) / 2
    same = difference_interval(one, one)
    assert (same.value, same.low, same.high, same.above, same.below) == (0, 0, 0, 0, 0)


def test_a_seed_gives_the_same_interval() -> None:
    one = hits(0.7, 300, 0)
    assert accuracy_interval(one, seed=1) == accuracy_interval(one, seed=1)
    assert len({accuracy_interval(one, 50, seed) for seed in range(9)}) > 1


def test_what_gives_no_interval_is_refused() -> None:
    one = hits(0.7, 30, 0)
    with pytest.raises(UserError, match="39 resamples give no 95% interval; take 40 or more"):
        accuracy_interval(one, 39)
    for wrong in (one.float(), one[None], one[:0]):
        with pytest.raises(UserError, match="hits are one bool an image, not torch"):
            accuracy_interval(wrong)
    with pytest.raises(UserError, match="the heads predict 30 and 29 images"):
        difference_interval(one, one[1:])
