from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import nn

from robust_det.attacks import make_threat
from robust_det.attacks.checks import (
    check_attacks,
    check_black_box,
    check_large_eps,
    check_more_steps,
    check_noise,
)
from robust_det.core.errors import UserError

LINF = make_threat("linf", 0.03)


@pytest.fixture
def network() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Flatten(), nn.Linear(75, 24), nn.ReLU(), nn.Linear(24, 10)).eval()


@pytest.fixture
def batch(network: nn.Module) -> tuple[torch.Tensor, torch.Tensor]:
    images = torch.rand(100, 3, 5, 5, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        return images, network(images).argmax(1)


@pytest.mark.parametrize("norm, eps", [("linf", 0.03), ("l2", 0.2)])
def test_a_plain_network_passes_all(
    norm: str, eps: float, network: nn.Module, batch: tuple[torch.Tensor, torch.Tensor]
) -> None:
    checks = check_attacks(network, *batch, make_threat(norm, eps), queries=60)
    assert [check.passed for check in checks] == [True] * 4, [str(check) for check in checks]
    assert all(str(check).startswith("PASS ") for check in checks)
    noise, steps, large, scores = (list(check.figures.values()) for check in checks)
    assert noise[0] > noise[1] + 10
    assert steps == sorted(steps, reverse=True) and steps[0] > 0
    assert large == [0.0, 10.0]
    assert scores[1] <= scores[0]


def test_a_network_without_gradients_is_told_by_noise_and_by_scores(
    network: nn.Module, batch: tuple[torch.Tensor, torch.Tensor]
) -> None:
    class Masked(torch.autograd.Function):
        @staticmethod
        def forward(ctx: object, x: torch.Tensor) -> torch.Tensor:
            return (x * 64).round() / 64

        @staticmethod
        def backward(ctx: object, grad: torch.Tensor) -> torch.Tensor:
            return torch.zeros_like(grad)

    class Rounding(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            logits: torch.Tensor = network(Masked.apply(x))
            return logits

    noise = check_noise(Rounding(), *batch, LINF)
    assert not noise.passed and "no better than guessing" in str(noise)
    scores = check_black_box(Rounding(), *batch, LINF, queries=100)
    assert not scores.passed and str(scores).startswith("FAIL a black-box attack")
    assert scores.figures["and Square"] < scores.figures["APGD"] - 5


def test_gradients_that_lead_back_are_told_by_a_large_eps_and_by_noise(
    network: nn.Module, batch: tuple[torch.Tensor, torch.Tensor]
) -> None:
    class Turned(torch.autograd.Function):
        @staticmethod
        def forward(ctx: object, x: torch.Tensor) -> torch.Tensor:
            return x.clone()

        @staticmethod
        def backward(ctx: object, grad: torch.Tensor) -> torch.Tensor:
            return -grad

    class Turning(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            logits: torch.Tensor = network(Turned.apply(x))
            return logits

    large = check_large_eps(Turning(), *batch, LINF)
    assert not large.passed and large.figures["eps 0.5"] > 10
    assert not check_noise(Turning(), *batch, LINF).passed


def test_gradients_that_trap_small_steps_are_told_by_more_steps() -> None:
    # one pixel, missed at the upper end of the ball; the gradient points to the next ripple
    class Ripples(torch.autograd.Function):
        @staticmethod
        def forward(ctx: Any, x: torch.Tensor) -> torch.Tensor:
            ctx.save_for_backward(x)
            return x.clone()

        @staticmethod
        def backward(ctx: Any, grad: torch.Tensor) -> torch.Tensor:
            (x,) = ctx.saved_tensors
            return grad * (x * 2 * torch.pi / 0.02).cos()

    class Rippled(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            over = Ripples.apply(x).flatten(1).sum(1) - 0.58
            return torch.stack([-over, over], 1)

    x, y = torch.full((200, 1, 1, 1), 0.5), torch.zeros(200, dtype=torch.long)
    check = check_more_steps(Rippled(), x, y, make_threat("linf", 0.1), steps=(4, 50))
    assert not check.passed and "lead astray" in str(check)
    assert check.figures["PGD-50"] > check.figures["PGD-4"] + 5


def test_a_constant_network_is_at_chance_and_passes_large_eps() -> None:
    class Constant(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return torch.tensor([1.0, 0.0, 0.0, 0.0]) + 0 * x.flatten(1).sum(1, keepdim=True)

    targets = torch.arange(8) % 4
    check = check_large_eps(Constant(), torch.rand(8, 1, 5, 5), targets, LINF)
    assert check.passed and check.figures == {"eps 0.5": 25.0, "chance": 25.0}


def test_no_images_and_eps_zero_are_refused(network: nn.Module) -> None:
    x, y = torch.rand(2, 3, 5, 5), torch.tensor([0, 1])
    with pytest.raises(UserError, match="need images"):
        check_more_steps(network, x[:0], y[:0], LINF)
    with pytest.raises(UserError, match="need an eps above 0"):
        check_noise(network, x, y, make_threat("l2", 0.0))
