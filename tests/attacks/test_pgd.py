from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torch.nn import functional as F

from robust_det.attacks import PGD, classifier_objective, frozen, make_threat
from robust_det.core.errors import UserError
from robust_det.models import build_classifier


class Linear(nn.Module):
    """Two classes; the gradient of the loss has the same direction everywhere."""

    def __init__(self, weight: torch.Tensor) -> None:
        super().__init__()
        self.weight = nn.Parameter(weight)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        score = (x * self.weight).flatten(1).sum(1)
        return torch.stack([score, -score], dim=1)


def losses(model: nn.Module, x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
    with torch.no_grad(), frozen(model):
        return F.cross_entropy(model(x), y, reduction="none")


def attacked(
    attack: PGD,
    model: nn.Module,
    x: torch.Tensor,
    y: torch.Tensor,
    noise: torch.Generator | None = None,
) -> torch.Tensor:
    """Run the attack on the cross-entropy of a classifier in eval mode."""
    with frozen(model) as network:
        return attack(classifier_objective(network, y), x, noise)


@settings(max_examples=40, deadline=None)
@given(
    norm=st.sampled_from(["l2", "linf"]),
    eps=st.floats(1e-3, 5.0),
    steps=st.integers(0, 4),
    relative_step=st.floats(0.05, 3.0),
    random_start=st.booleans(),
    best=st.booleans(),
    seed=st.integers(0, 10_000),
)
def test_examples_stay_in_the_ball_and_the_box(
    norm: str,
    eps: float,
    steps: int,
    relative_step: float,
    random_start: bool,
    best: bool,
    seed: int,
) -> None:
    torch.manual_seed(seed)
    model = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(144, 3))
    x = torch.rand(3, 3, 8, 8).mul_(1.6).sub_(0.3).clamp_(0, 1)  # many pixels at 0 and 1
    y = torch.randint(0, 3, (3,))
    attack = PGD(make_threat(norm, eps), steps, relative_step * eps, random_start, best)
    out = attacked(attack, model, x, y, torch.Generator().manual_seed(seed))
    delta = (out - x).flatten(1)
    size = delta.norm(dim=1) if norm == "l2" else delta.abs().amax(1)
    assert size.max() <= eps * (1 + 1e-5) + 1e-6
    assert out.min() >= 0 and out.max() <= 1
    assert out.isfinite().all() and not out.requires_grad


def test_linear_model_linf_has_the_closed_form() -> None:
    torch.manual_seed(0)
    weight = torch.randn(3, 4, 4)
    x = torch.rand(5, 3, 4, 4)
    y = torch.tensor([0, 1, 0, 1, 1])
    out = attacked(PGD(make_threat("linf", 0.1), 3, 0.05), Linear(weight), x, y)
    sign = torch.where(y == 0, -1.0, 1.0).view(-1, 1, 1, 1)
    torch.testing.assert_close(out, (x + 0.1 * sign * weight.sign()).clamp(0, 1))


def test_linear_model_l2_has_the_closed_form() -> None:
    torch.manual_seed(0)
    weight = torch.randn(3, 4, 4)
    x = torch.full((2, 3, 4, 4), 0.5)  # far from the box
    y = torch.tensor([0, 1])
    out = attacked(PGD(make_threat("l2", 0.3), 3, 0.2), Linear(weight), x, y)
    sign = torch.tensor([-1.0, 1.0]).view(-1, 1, 1, 1)
    expected = x + 0.3 * sign * weight / weight.norm()
    torch.testing.assert_close(out, expected, atol=1e-6, rtol=1e-6)


def test_two_short_steps_do_not_reach_the_border() -> None:
    x = torch.full((1, 3, 4, 4), 0.5)
    model = Linear(torch.randn(3, 4, 4))
    out = attacked(PGD(make_threat("l2", 1.0), 2, 0.2), model, x, torch.tensor([0]))
    assert (out - x).norm().item() == pytest.approx(0.4, abs=1e-5)


def test_random_starts() -> None:
    x = torch.full((2000, 3, 2, 2), 0.5)
    noise = torch.Generator().manual_seed(0)
    l2 = make_threat("l2", 0.25).random_start(x, noise) - x
    torch.testing.assert_close(l2.flatten(1).norm(dim=1), torch.full((2000,), 0.25))
    assert l2.mean().abs() < 1e-3
    linf = make_threat("linf", 0.25).random_start(x, noise) - x
    assert linf.std().item() == pytest.approx(0.25 / math.sqrt(3), rel=0.02)
    assert linf.abs().max() <= 0.25


@pytest.mark.parametrize("best", [True, False])
@pytest.mark.parametrize("fail", [True, False])
def test_modes_and_gradients_are_left_as_found(best: bool, fail: bool) -> None:
    model = build_classifier("resnet10_narrow", 5).train()
    model.body.bn1.eval()
    model.body.conv1.weight.requires_grad_(False)
    before = {name: value.clone() for name, value in model.state_dict().items()}
    model.body.fc.weight.grad = torch.ones_like(model.body.fc.weight)
    x, y = torch.rand(2, 3, 32, 32), torch.tensor([0, 9 if fail else 1])
    attack = PGD(make_threat("l2", 0.5), 2, 0.3, best_iterate=best)
    if fail:
        with pytest.raises(IndexError):
            attacked(attack, model, x, y)
    else:
        attacked(attack, model, x, y)
    assert not model.body.bn1.training and not model.body.conv1.weight.requires_grad
    others = [m for m in model.modules() if m is not model.body.bn1]
    assert all(module.training for module in others)
    assert all(p.requires_grad for p in model.parameters() if p is not model.body.conv1.weight)
    # the statistics of batch norm too, in eval mode
    assert all(torch.equal(before[name], value) for name, value in model.state_dict().items())
    assert (model.body.fc.weight.grad == 1).all()


@pytest.mark.parametrize("norm, eps", [("l2", 2.0), ("linf", 0.1)])
def test_best_iterate_is_never_below_the_last_or_the_image(norm: str, eps: float) -> None:
    torch.manual_seed(1)
    model = build_classifier("resnet10_narrow", 5).eval()
    x, y = torch.rand(8, 3, 32, 32), torch.arange(8) % 5
    # far too long steps, so that the loss goes up and down
    last = attacked(PGD(make_threat(norm, eps), 4, 3 * eps), model, x, y)
    best = attacked(PGD(make_threat(norm, eps), 4, 3 * eps, best_iterate=True), model, x, y)
    gain = losses(model, best, y) - losses(model, last, y)
    assert gain.min() >= -1e-6
    assert (losses(model, best, y) - losses(model, x, y)).min() >= -1e-6


def test_eps_zero_returns_the_images_without_a_pass() -> None:
    x = torch.rand(2, 3, 4, 4)
    attack = PGD(make_threat("l2", 0.0), 3, 0.0, random_start=True, best_iterate=True)
    assert torch.equal(attacked(attack, nn.Identity(), x, torch.tensor([0, 1])), x)


def test_channels_last_gives_the_same_examples() -> None:
    torch.manual_seed(2)
    model = build_classifier("resnet10_narrow", 5).eval()
    x, y = torch.rand(4, 3, 32, 32), torch.arange(4)
    attack = PGD(make_threat("l2", 0.5), 3, 0.3, best_iterate=True)
    plain = attacked(attack, model, x, y)
    model.to(memory_format=torch.channels_last)
    other = attacked(attack, model, x.contiguous(memory_format=torch.channels_last), y)
    assert other.is_contiguous(memory_format=torch.channels_last)
    torch.testing.assert_close(other, plain, atol=1e-4, rtol=0)


def test_bad_threats_are_refused() -> None:
    with pytest.raises(UserError, match="did you mean 'linf'"):
        make_threat("linff", 1.0)
    for eps in (-0.1, math.nan, math.inf):
        with pytest.raises(UserError, match="eps must be"):
            make_threat("l2", eps)
