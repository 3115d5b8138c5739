"""A number that is not in the unit of images is refused, with the one that was meant."""

from __future__ import annotations

import math

import pytest
import torch

from robust_det.attacks import PGD, make_threat
from robust_det.attacks.units import check_radius, check_step, radius_doubt, step_doubt
from robust_det.core.errors import UserError


@pytest.mark.parametrize("eps, meant", [(8, "8/255"), (1, "1/255"), (2.5, "2.5/255")])
def test_a_linf_radius_of_pixels(eps: float, meant: str) -> None:
    with pytest.raises(UserError, match=f"EVAL.EPS {meant} was probably meant"):
        check_radius("linf", eps, name="EVAL.EPS")


def test_the_largest_l2_radius_is_from_black_to_white() -> None:
    black, white = torch.zeros(3, 20, 20), torch.ones(3, 20, 20)
    diameter = float((white - black).norm())
    check_radius("l2", diameter * 0.999, 20)
    check_radius("l2", diameter * 1.001)  # of an unknown size
    with pytest.raises(UserError, match="more than the L2 distance of black and white"):
        check_radius("l2", diameter * 1.001, 20)


@pytest.mark.parametrize("eps, step, meant", [(8 / 255, 2, "2/255"), (0.5, 100, "100/255")])
def test_a_step_of_pixels(eps: float, step: float, meant: str) -> None:
    with pytest.raises(UserError, match=f"step_size {meant} was probably meant"):
        check_step(eps, step)


def test_a_step_of_the_diameter_is_the_longest() -> None:
    check_step(8 / 255, 16 / 255)
    check_step(0.0, 5.0)
    with pytest.raises(UserError, match="from eps / steps to eps"):
        check_step(8 / 255, 17 / 255)


def test_what_may_be_meant_is_doubted() -> None:
    assert "more than published models have" in radius_doubt("l2", 128)
    assert radius_doubt("l2", 5) == radius_doubt("linf", 0.5) == radius_doubt("l2", None) == ""


@pytest.mark.parametrize("steps, reaches", [(2, False), (3, True)])
def test_an_attack_that_does_not_reach_its_surface(steps: int, reaches: bool) -> None:
    x = torch.full((1, 3, 4, 4), 0.5)
    out = PGD(make_threat("linf", 0.03), steps, 0.01)(lambda z: z.flatten(1).sum(1), x)
    assert math.isclose(float((out - x).abs().max()), 0.03, rel_tol=1e-4) == reaches
    assert (step_doubt(0.03, 0.01, steps) == "") == reaches
