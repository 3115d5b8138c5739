"""Networks whose robust accuracy is known: of a linear one the distance to the boundary decides."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
import torch
from scipy.stats import binomtest
from torch import nn

from robust_det.attacks.budgets import Budget, Member, budget
from robust_det.attacks.square import Square
from robust_det.attacks.threat import make_threat
from robust_det.classification.robustness.attacking import fates_of
from robust_det.classification.robustness.fates import Fate, fates_csv, from_plain
from robust_det.classification.robustness.figures import (
    clean_metrics,
    interval,
    robust_accuracies,
    telling_eps,
)
from robust_det.core.errors import UserError


class Linear(nn.Module):
    """Two classes, told apart by a plane through the grey image."""

    def __init__(self) -> None:
        super().__init__()
        weight = torch.randn(75, generator=torch.Generator().manual_seed(0))
        self.weight = nn.Parameter(weight / weight.norm())

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        over = (x.flatten(1) - 0.5) @ self.weight
        return torch.stack([-over, over], 1)


@pytest.fixture
def network() -> Linear:
    return Linear()


def at(network: Linear, distances: Sequence[float]) -> torch.Tensor:
    """Images (N, 3, 5, 5) at signed distances from the plane, in the middle of [0, 1]."""
    along = torch.tensor(distances)[:, None] * network.weight.detach()
    off = torch.randn(len(distances), 75, generator=torch.Generator().manual_seed(1)) * 0.01
    off -= (off @ network.weight.detach())[:, None] * network.weight.detach()
    return (0.5 + along + off).view(-1, 3, 5, 5)


def quick(norm: str, *eps: float) -> list[tuple[float, Budget]]:
    return [(each, budget("quick", make_threat(norm, each), 2)) for each in eps]


DISTANCES = [0.1, 0.24, 0.26, -0.1, 0.49, 0.51, 0.9, 0.01]
TARGETS = torch.ones(8, dtype=torch.long)
NAMES = [f"a/{n}.png" for n in range(8)]


def test_l2_balls_that_reach_the_plane_fell_and_no_others(network: Linear) -> None:
    fates, overflows = fates_of(
        network, at(network, DISTANCES), TARGETS, NAMES, quick("l2", 0.25, 0.5, 0.8)
    )
    ce, standing = "pgd-ce", "standing"
    assert [fate.fell for fate in fates] == [
        (ce, "pgd-ce@0.25", "pgd-ce@0.25"),
        (ce, "pgd-ce@0.25", "pgd-ce@0.25"),
        (standing, ce, "pgd-ce@0.5"),
        ("wrong", "wrong", "wrong"),
        (standing, ce, "pgd-ce@0.5"),
        (standing, standing, ce),
        (standing, standing, standing),
        (ce, "pgd-ce@0.25", "pgd-ce@0.25"),
    ]
    assert overflows == 0 and [fate.prediction for fate in fates] == [1, 1, 1, 0, 1, 1, 1, 1]
    assert [fate.top5 for fate in fates] == [None] * 8
    assert all(p.requires_grad for p in network.parameters())


def test_linf_balls_by_the_dual_norm(network: Linear) -> None:
    # the steepest way changes the distance by eps times the sum of absolute weights
    reach = float(network.weight.detach().abs().sum())
    eps = 0.02
    images = at(network, [0.97 * eps * reach, 1.03 * eps * reach])
    fates, _ = fates_of(network, images, TARGETS[:2], NAMES[:2], quick("linf", eps))
    assert [fate.fell for fate in fates] == [("pgd-ce",), ("standing",)]


def test_the_batch_and_the_other_images_change_nothing(network: Linear) -> None:
    # Square alone: whether an image falls is a matter of its random numbers
    members = (Member("square", Square(make_threat("l2", 0.5), 12), "margin"),)
    budgets = [(0.5, Budget("square", members))]
    distances = [0.005 + 0.004 * n for n in range(40)]
    images, targets = at(network, distances), torch.ones(40, dtype=torch.long)
    names = [f"a/{n}.png" for n in range(40)]
    whole, _ = fates_of(network, images, targets, names, budgets)
    fallen = sum(fate.fell == ("square",) for fate in whole)
    assert 3 < fallen < 37
    part, _ = fates_of(network, images[5:30:3], targets[5:30:3], names[5:30:3], budgets)
    assert part == whole[5:30:3]
    other, _ = fates_of(network, images, targets, names, budgets, seed=1)
    assert other != whole


def test_an_image_that_fell_is_not_attacked_again(network: Linear) -> None:
    def passes(*eps: float) -> list[int]:
        told: list[int] = []
        images = at(network, [0.1] * 6)
        budgets = quick("l2", *eps)
        fates_of(network, images, TARGETS[:6], NAMES[:6], budgets, on_pass=told.append)
        return told

    assert passes(0.5, 0.6, 0.7) == passes(0.5) != []


def test_figures_are_counts_and_intervals_those_of_scipy(network: Linear) -> None:
    budgets = quick("l2", 0.25, 0.5, 0.8)
    fates, _ = fates_of(network, at(network, DISTANCES), TARGETS, NAMES, budgets)
    assert clean_metrics(fates, TARGETS.tolist()) == {"clean_top1": 87.5}
    found = robust_accuracies(fates, 7, budgets)
    assert [one.standing for one in found] == [4, 2, 1]
    assert [one.earlier for one in found] == [0, 3, 5]
    assert [one.felled for one in found] == [
        {"pgd-ce": 3, "pgd-margin": 0},
        {"pgd-ce": 2, "pgd-margin": 0},
        {"pgd-ce": 1, "pgd-margin": 0},
    ]
    assert telling_eps(found, 7) == 0.25 and telling_eps(found[1:], 7) == 0.5
    for one in found:
        known = binomtest(one.standing, 8).proportion_ci(0.95, "wilson")
        assert (one.low, one.high) == pytest.approx((100 * known.low, 100 * known.high))
    for count in (0, 300):
        low, high = interval(count, 300)
        assert 0 <= low <= 100 * count / 300 <= high <= 100


def test_top5_and_logits_that_are_not_finite() -> None:
    class Ranks(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return -torch.arange(7.0).expand(len(x), 7) * x.flatten(1).sum(1, keepdim=True)

    images = torch.full((3, 1, 5, 5), 0.5)
    fates, _ = fates_of(Ranks(), images, torch.tensor([0, 4, 5]), NAMES[:3], [])
    assert [(fate.top5, fate.fell) for fate in fates] == [(True, ()), (True, ()), (False, ())]
    metrics = clean_metrics(fates, [0, 4, 5])
    assert metrics == pytest.approx({"clean_top1": 100 / 3, "clean_top5": 200 / 3})
    with pytest.raises(UserError, match="gives NaN or Inf for images as they are"):
        fates_of(Ranks(), images * torch.nan, torch.tensor([0, 4, 5]), NAMES[:3], [])


def test_fates_are_kept_whatever_their_names_are() -> None:
    fate = Fate('a/x,"\udcff.png', 3, True, ("standing", "apgd-ce"))
    assert from_plain(fate.plain()) == fate
    text = fates_csv([("a", 1, fate)], "linf", (1 / 255, 0.5))
    head, row = text.splitlines()
    assert head == b"image,class,target,prediction,top5,linf_0.00392156862745098,linf_0.5"
    assert row == b'"a/x,""\xff.png",a,1,3,1,standing,apgd-ce'
