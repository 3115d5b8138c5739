"""Projections against scipy's solvers, and the attack against distances known in closed form."""

from __future__ import annotations

import pytest
import torch
from scipy.optimize import linprog, minimize

from robust_det.attacks import make_threat
from robust_det.attacks.fab import FAB
from robust_det.attacks.hyperplanes import to_hyperplane
from robust_det.core.errors import UserError


def problems(count: int, size: int) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    torch.manual_seed(0)
    x = torch.rand(count, size, dtype=torch.float64).mul(1.4).sub(0.2).clamp(0, 1)
    weight = torch.randn(count, size, dtype=torch.float64)
    weight[:, 0] = 0
    # to the wall nearest by, and beyond what the box holds
    return x, weight, torch.randn(count, dtype=torch.float64) * torch.linspace(0.1, 4, count)


def test_linf_moves_are_those_of_a_linear_programme() -> None:
    x, weight, value = problems(30, 6)
    moves = to_hyperplane(x, weight, value, "linf")
    solved = 0
    for point, w, v, move in zip(x, weight, value, moves, strict=True):
        # of (move, length): length is the least with -length <= move <= length
        eye, one = torch.eye(6), torch.ones(6, 1)
        rows = torch.cat([torch.cat([eye, -one], 1), torch.cat([-eye, -one], 1)])
        bounds = [(-float(p), 1 - float(p)) for p in point] + [(0, None)]
        cost = [0] * 6 + [1]
        equal = [[*w.tolist(), 0.0]]
        answer = linprog(cost, rows.numpy(), [0] * 12, equal, [-float(v)], bounds)
        if answer.success:
            solved += 1
            assert float(move @ w) == pytest.approx(-float(v), abs=1e-9)
            assert float(move.abs().max()) == pytest.approx(answer.fun, abs=1e-8)
        else:  # all walls at once do not reach it
            gain = torch.where((w * v) < 0, w * (1 - point), -w * point)
            assert float(move @ w) == pytest.approx(float(gain.sum()))
            assert abs(float(gain.sum())) < abs(float(v))
        assert (point + move).min() >= -1e-12 and (point + move).max() <= 1 + 1e-12
    assert 10 < solved < 30


def test_l2_moves_are_those_of_a_quadratic_solver() -> None:
    x, weight, value = problems(20, 5)
    moves = to_hyperplane(x, weight, value, "l2")
    solved = 0
    for point, w, v, move in zip(x, weight, value, moves, strict=True):
        walls = torch.where((w * v) < 0, w * (1 - point), -w * point)
        if abs(float(walls.sum())) < abs(float(v)):
            continue
        constraint = {"type": "eq", "fun": lambda d, w=w, v=v: float(w.numpy() @ d + float(v))}
        bounds = [(-float(p), 1 - float(p)) for p in point]
        answer = minimize(
            lambda d: (d**2).sum(), [0.0] * 5, bounds=bounds, constraints=[constraint], tol=1e-12
        )
        solved += 1
        assert float(move @ w) == pytest.approx(-float(v), abs=1e-9)
        assert float((move**2).sum()) == pytest.approx(answer.fun, abs=1e-6)
        assert float(move[0]) == 0
    assert solved > 8


def test_a_hyperplane_without_a_direction_moves_nothing() -> None:
    x = torch.rand(2, 3)
    for norm in ("l2", "linf"):
        assert (to_hyperplane(x, torch.zeros(2, 3), torch.ones(2), norm) == 0).all()


@pytest.mark.parametrize("norm", ["l2", "linf"])
def test_a_linear_boundary_is_met_at_its_distance(norm: str) -> None:
    torch.manual_seed(0)
    weight = torch.randn(1, 4, 4)
    x = torch.full((1, 1, 4, 4), 0.5)
    scale = weight.norm() if norm == "l2" else weight.abs().sum()

    def objective(z: torch.Tensor) -> torch.Tensor:
        return ((z - x) * weight).flatten(1).sum(1) - 0.2 * scale  # 0.2 away

    threat = make_threat(norm, 0.22)
    out = FAB(threat, 20)(objective, x)
    assert objective(out) > 0
    # the overshoot of the last step is what is left
    assert 0.2 <= float(threat.distance(out, x)) <= 0.2 * 1.05
    nothing = FAB(make_threat(norm, 0.19), 20)(objective, x)
    assert torch.equal(nothing, x)


def test_the_nearest_of_two_boundaries_is_found_by_going_back() -> None:
    # a ring: from the middle of it the linear model says too much, and the way back tells
    def objective(z: torch.Tensor) -> torch.Tensor:
        far = (z - 0.5).flatten(1).norm(dim=1)
        return far**4 - 0.1**4

    x = torch.full((1, 1, 2, 2), 0.5)
    x[..., 0, 0] += 0.03
    threat = make_threat("l2", 0.075)
    out = FAB(threat, 100)(objective, x)
    assert objective(out) > 0
    assert float(threat.distance(out, x)) == pytest.approx(0.07, rel=0.05)


def test_the_passes_are_those_that_are_told_and_success_may_be_another_s() -> None:
    asked = 0

    def objective(z: torch.Tensor) -> torch.Tensor:
        nonlocal asked
        asked += 1
        return z.flatten(1).sum(1) - 2.4

    x = torch.full((2, 1, 2, 2), 0.5)
    attack = FAB(make_threat("linf", 0.3), 6)
    attack(objective, x)
    assert (asked, 6) == attack.passes
    # nothing succeeds, so that the images are returned
    out = attack(objective, x, success=lambda z: torch.zeros(2, dtype=torch.bool))
    assert torch.equal(out, x)
    with pytest.raises(UserError, match="FAB needs steps >= 1, not 0"):
        FAB(make_threat("linf", 0.3), 0)
