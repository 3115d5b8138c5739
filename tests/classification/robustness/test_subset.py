from __future__ import annotations

import numpy as np
import pytest

from robust_det.classification.robustness.subset import stratified

UNEVEN = np.repeat([0, 1, 2, 3], [100, 30, 7, 1])


@pytest.mark.parametrize("count", [1, 13, 69, 137])
def test_each_class_has_its_share_but_for_one_image(count: int) -> None:
    chosen = stratified(UNEVEN, count, seed=3)
    assert len(chosen) == count and list(chosen) == sorted(set(chosen.tolist()))
    counts = np.bincount(UNEVEN[chosen], minlength=4)
    assert np.all(np.abs(counts - count * np.bincount(UNEVEN) / len(UNEVEN)) < 1 + 1e-9)


def test_a_smaller_draw_lies_within_a_larger_one() -> None:
    small, large = (set(stratified(UNEVEN, count, 5).tolist()) for count in (20, 60))
    assert small < large
    assert set(stratified(UNEVEN, 60, 6).tolist()) != large
    assert stratified(UNEVEN, 1000, 5).tolist() == list(range(len(UNEVEN)))


def test_classes_of_one_size_are_drawn_from_everywhere() -> None:
    # fewer images than classes: not those of the first classes
    targets = np.repeat(np.arange(200), 5)
    drawn = targets[stratified(targets, 50, 0)]
    assert len(set(drawn.tolist())) == 50 and 70 < drawn.mean() < 130
    # nor is it always the first image of a class
    assert len(set((stratified(targets, 200, 0) % 5).tolist())) == 5
