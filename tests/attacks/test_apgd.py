from __future__ import annotations

import dataclasses

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from robust_det.attacks import PGD, classifier_objective, frozen, make_threat
from robust_det.attacks.apgd import APGD
from robust_det.core.errors import UserError


def generators(count: int) -> list[torch.Generator]:
    return [torch.Generator().manual_seed(i) for i in range(count)]


def test_checkpoints_are_the_paper_s() -> None:
    # section 3.2: 0.22 N, then each wait is 0.03 N shorter, but 0.06 N at least
    threat = make_threat("linf", 0.1)
    assert APGD(threat, 100).checkpoints == [22, 41, 57, 70, 80, 87, 93, 99]
    assert APGD(threat, 1000).checkpoints == [220, 410, 570, 700, 800, 870, 930, 990]
    assert APGD(threat, 1).checkpoints == []


@pytest.mark.parametrize("norm", ["l2", "linf"])
def test_a_linear_objective_is_climbed_to_its_closed_form(norm: str) -> None:
    torch.manual_seed(0)
    weight = torch.randn(3, 4, 4)
    x = torch.full((3, 3, 4, 4), 0.5)  # far from the box
    out = APGD(make_threat(norm, 0.2), 30)(lambda z: (z * weight).flatten(1).sum(1), x)
    top = weight.norm() if norm == "l2" else weight.abs().sum()
    gain = ((out - x) * weight).flatten(1).sum(1)
    torch.testing.assert_close(gain, (0.2 * top).expand(3), rtol=2e-4, atol=0)


def test_steps_are_halved_where_they_leap_over_the_top() -> None:
    # a hill within the ball, narrower than a step: those of PGD's size never stand on it
    def hill(z: torch.Tensor) -> torch.Tensor:
        return -(z - 0.52).flatten(1).norm(dim=1)

    x = torch.full((4, 1, 2, 2), 0.5)
    out = APGD(make_threat("l2", 0.3), 100)(hill, x, generators(4))
    assert (-hill(out)).max() < 0.002
    fixed = PGD(make_threat("l2", 0.3), 100, 0.15, random_start=True, best_iterate=True)
    assert (-hill(fixed(hill, x, generators(4)))).mean() > 0.01


@settings(max_examples=25, deadline=None)
@given(
    norm=st.sampled_from(["l2", "linf"]),
    eps=st.floats(1e-3, 3.0),
    steps=st.integers(1, 12),
    seed=st.integers(0, 1000),
)
def test_examples_stay_in_the_ball_and_the_box(
    norm: str, eps: float, steps: int, seed: int
) -> None:
    torch.manual_seed(seed)
    model = nn.Sequential(nn.Flatten(), nn.Linear(48, 8), nn.ReLU(), nn.Linear(8, 3))
    x = torch.rand(3, 3, 4, 4).mul_(1.6).sub_(0.3).clamp_(0, 1)
    threat = make_threat(norm, eps)
    with frozen(model) as network:
        out = APGD(threat, steps)(classifier_objective(network, torch.arange(3)), x)
    delta = (out - x).flatten(1)
    size = delta.norm(dim=1) if norm == "l2" else delta.abs().amax(1)
    assert size.max() <= eps * (1 + 1e-5) + 1e-6
    assert out.min() >= 0 and out.max() <= 1 and not out.requires_grad
    assert threat.holds(out, x).all()


def test_an_image_does_not_depend_on_its_batch_nor_on_who_leaves_it() -> None:
    torch.manual_seed(0)
    weight = torch.randn(6, 12)

    class Waves:
        """Each image's objective is its own; it leaves out whom it is told to, at once."""

        def __init__(self, rows: torch.Tensor, leave: torch.Tensor | None) -> None:
            self.rows, self.leave = rows, leave

        def __call__(self, z: torch.Tensor) -> torch.Tensor:
            own = z.flatten(1) * weight[self.rows]
            return (own.sin() * 3 + own.cos()).sum(1)

        def narrow(self) -> torch.Tensor | None:
            if self.leave is None:
                return None
            kept = (~self.leave[self.rows]).nonzero().flatten()
            self.rows, self.leave = self.rows[kept], None
            return kept

    x = torch.rand(6, 3, 2, 2)
    attack = APGD(make_threat("linf", 0.3), 15)
    together = attack(Waves(torch.arange(6), None), x, generators(6))
    rows = torch.tensor([4, 1])
    pair = attack(Waves(rows, None), x[rows], [generators(6)[i] for i in (4, 1)])
    torch.testing.assert_close(pair, together[rows])
    leave = torch.tensor([True, False, False, True, False, True])
    narrowed = attack(Waves(torch.arange(6), leave), x, generators(6))
    torch.testing.assert_close(narrowed[~leave], together[~leave])
    assert not torch.allclose(narrowed[leave], together[leave])  # these stayed at the start


@pytest.mark.parametrize("steps", [1, 7])
def test_the_passes_are_those_that_are_told(steps: int) -> None:
    asked = 0

    def objective(z: torch.Tensor) -> torch.Tensor:
        nonlocal asked
        asked += 1
        return z.flatten(1).sum(1)

    attack = APGD(make_threat("l2", 0.1), steps)
    attack(objective, torch.rand(2, 1, 2, 2))
    assert (asked, asked - 1) == attack.passes == (steps + 1, steps)


def test_eps_zero_returns_the_images_and_no_steps_are_refused() -> None:
    x = torch.rand(2, 1, 2, 2)
    attack = APGD(make_threat("l2", 0.0))
    assert torch.equal(attack(lambda z: z.flatten(1).sum(1), x), x)
    with pytest.raises(UserError, match="APGD needs steps >= 1, not 0"):
        dataclasses.replace(attack, steps=0)


def test_a_point_whose_objective_is_nan_is_never_the_best() -> None:
    def objective(z: torch.Tensor) -> torch.Tensor:
        value = z.flatten(1).sum(1)
        return torch.where(value > 0.55, torch.full_like(value, torch.nan), value)

    x = torch.full((8, 1, 1, 1), 0.5)
    out = APGD(make_threat("linf", 0.1), 20)(objective, x, generators(8))
    assert out.max() <= 0.55 and out.isfinite().all()


def test_a_start_that_is_given_is_where_it_starts() -> None:
    seen = []

    def objective(z: torch.Tensor) -> torch.Tensor:
        seen.append(z.detach())
        return z.flatten(1).sum(1)

    x = torch.full((2, 1, 2, 2), 0.5)
    attack = APGD(make_threat("linf", 0.1), 1, random_start=False)
    attack(objective, x)
    attack(objective, x, start=x + 0.05)
    assert torch.equal(seen[0], x) and torch.equal(seen[2], x + 0.05)
    random = APGD(make_threat("linf", 0.1), 1)
    random(objective, x, torch.Generator().manual_seed(0))
    assert not torch.equal(seen[4], x)
    half = attack.scaled(0.5)
    assert half.threat.eps == 0.05 and (half.steps, half.random_start) == (1, False)


def test_what_the_resolution_cannot_tell_is_as_high() -> None:
    def sinking(z: torch.Tensor) -> torch.Tensor:
        moved = (z - 0.5).abs().flatten(1).sum(1)
        return (z * 0).flatten(1).sum(1) + 1 - 0.01 * (moved.detach() > 0) + 1e-9 * z.sum()

    x = torch.full((2, 1, 2, 2), 0.5)
    exact = APGD(make_threat("linf", 0.1), 1, random_start=False)
    assert torch.equal(exact(sinking, x), x)
    assert not torch.equal(dataclasses.replace(exact, resolution=0.02)(sinking, x), x)
    with pytest.raises(UserError, match=r"APGD needs a resolution in \[0, 1\), not 1"):
        dataclasses.replace(exact, resolution=1.0)
