from __future__ import annotations

import copy
import dataclasses
import math
from collections.abc import Callable
from typing import Any

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
    head: Any = model.body.fc
    head.weight.grad = torch.ones_like(head.weight)
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
    assert (head.weight.grad == 1).all()


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


def test_any_objective_and_any_number_of_channels() -> None:
    """The optimiser knows neither networks nor classes: brightness alone is climbed here."""
    x = torch.full((2, 7, 4), 0.5)
    out = PGD(make_threat("linf", 0.1), 2, 0.1)(lambda z: z.flatten(1).sum(1), x)
    torch.testing.assert_close(out, torch.full((2, 7, 4), 0.6))
    assert not out.requires_grad


def bumps(x: torch.Tensor) -> torch.Tensor:
    """Two hills per image of one pixel: a low one at 0.3, and a high one at 0.9."""
    z = x.flatten(1)
    return (torch.exp(-((z - 0.3) ** 2) / 0.01) + 3 * torch.exp(-((z - 0.9) ** 2) / 0.01)).sum(1)


def test_restarts_keep_the_worst_case_of_each_image() -> None:
    x = torch.full((64, 1, 1, 1), 0.35)
    plain = PGD(make_threat("linf", 0.6), 20, 0.02)
    once = plain(bumps, x)
    assert (once < 0.5).all()  # the low hill
    again = dataclasses.replace(plain, restarts=8)
    noise = torch.Generator().manual_seed(3)
    worst = again(bumps, x, noise)
    assert (bumps(worst) >= bumps(once) - 1e-6).all()
    assert (worst > 0.8).float().mean() > 0.9  # starts are uniform: few miss the high hill
    assert torch.equal(worst, again(bumps, x, torch.Generator().manual_seed(3)))


@pytest.mark.parametrize("best", [True, False])
def test_what_restarts_cost_and_that_the_first_is_the_plain_attack(best: bool) -> None:
    torch.manual_seed(0)
    x = torch.rand(4, 1, 2, 2)
    passes = {True: 0, False: 0}
    flat = PGD(make_threat("l2", 0.5), 3, 0.2, random_start=True, best_iterate=best)

    def seeded(attack: PGD, level: float) -> torch.Tensor:
        def objective(z: torch.Tensor) -> torch.Tensor:
            passes[z.requires_grad] += 1
            return (z * level).flatten(1).sum(1)

        return attack(objective, x, torch.Generator().manual_seed(0))

    # the objective is the same everywhere, so no restart is better than the first
    first = seeded(flat, 0.0)
    assert torch.equal(seeded(dataclasses.replace(flat, restarts=3), 0.0), first)
    assert passes == {True: 3 + 9, False: int(best) + 3}


def test_each_image_moves_as_often_as_it_is_told() -> None:
    torch.manual_seed(0)
    model = Linear(torch.randn(3, 4, 4))
    x, y = torch.full((4, 3, 4, 4), 0.5), torch.zeros(4, dtype=torch.long)
    objective = classifier_objective(model, y)
    attack = PGD(make_threat("l2", 1.0), 5, 0.1)
    counts = torch.tensor([0, 3, 1, 3])
    passes = []

    def counted(z: torch.Tensor) -> torch.Tensor:
        passes.append(1)
        return objective(z)

    out = attack(counted, x, steps=counts)
    torch.testing.assert_close((out - x).flatten(1).norm(dim=1), 0.1 * counts)
    assert len(passes) == 3  # the largest of the counts
    for i, count in enumerate(counts.tolist()):
        same = PGD(make_threat("l2", 1.0), count, 0.1)(objective, x)
        torch.testing.assert_close(out[i], same[i])


def test_a_generator_an_image_makes_starts_independent_of_the_batch() -> None:
    x = torch.rand(5, 3, 4, 4)
    attack = PGD(make_threat("l2", 0.3), 1, 0.1, random_start=True, restarts=2)

    def result(size: int) -> torch.Tensor:
        parts = []
        for part in torch.arange(5).split(size):
            noise = [torch.Generator().manual_seed(int(i)) for i in part]
            parts.append(attack(lambda z: (z**2).flatten(1).sum(1), x[part], noise))
        return torch.cat(parts)

    assert torch.equal(result(5), result(2))
    assert torch.equal(result(5), result(1))


def test_gradients_that_overflow_tell_no_direction() -> None:
    x = torch.full((1, 1, 1, 3), 0.5)
    weights = torch.tensor([1.0, math.inf, math.nan])
    out = PGD(make_threat("linf", 0.1), 1, 0.1)(lambda z: (z * weights).flatten(1).sum(1), x)
    torch.testing.assert_close(out.flatten(), torch.tensor([0.6, 0.5, 0.5]))


@pytest.mark.parametrize(
    "wrong, message",
    [
        (lambda attack, x: attack(lambda z: z.sum(), x), r"one loss an image, \(2,\), not \(\)"),
        (lambda attack, x: attack(bumps, x, steps=torch.tensor([1, 4])), "from 0 to 3, not"),
        (lambda attack, x: attack(bumps, x, steps=torch.tensor([-1, 1])), "from 0 to 3, not"),
        (lambda attack, x: attack(bumps, x, steps=torch.tensor([1])), r"not \(1,\)"),
        (lambda attack, x: dataclasses.replace(attack, restarts=0), "restarts >= 1, not 0"),
        (lambda attack, x: dataclasses.replace(attack, steps=-1), "steps >= 0, not -1"),
        (lambda attack, x: dataclasses.replace(attack, step_size=math.nan), "step_size >= 0"),
    ],
)
def test_what_does_not_fit_is_refused(wrong: Callable[..., object], message: str) -> None:
    with pytest.raises(UserError, match=message):
        wrong(PGD(make_threat("l2", 0.5), 3, 0.1), torch.rand(2, 1, 1, 1))


def test_of_equal_iterates_the_later_is_kept() -> None:
    # a loss that rises in steps of 0.2, as one of few bits does: its gradient goes on
    class Coarse(torch.autograd.Function):
        @staticmethod
        def forward(ctx: Any, value: torch.Tensor) -> torch.Tensor:
            return (value * 5).floor() / 5

        @staticmethod
        def backward(ctx: Any, gradient: torch.Tensor) -> torch.Tensor:
            return gradient

    x = torch.full((2, 1, 1, 1), 0.5)
    attack = PGD(make_threat("linf", 0.04), 4, 0.01, best_iterate=True)
    out = attack(lambda z: Coarse.apply(z.flatten(1).sum(1)), x)
    assert torch.allclose(out, x + 0.04)


def test_an_iterate_whose_objective_is_nan_is_never_the_best() -> None:
    def objective(z: torch.Tensor) -> torch.Tensor:
        value = z.flatten(1).sum(1)
        return torch.where(value > 0.525, torch.full_like(value, torch.nan), value)

    x = torch.full((1, 1, 1, 1), 0.5)
    out = PGD(make_threat("linf", 0.04), 4, 0.01, best_iterate=True)(objective, x)
    assert torch.allclose(out, x + 0.02)


@pytest.mark.parametrize("eps", [1 / 25500, 1 / 2550])
def test_the_best_iterate_in_bf16_is_not_weaker_than_the_last(eps: float) -> None:
    # recomputed in float64 by torch alone: the maximum of noisy losses was a fifth weaker
    torch.manual_seed(0)
    network = nn.Sequential(nn.Flatten(), nn.Linear(192, 256), nn.ReLU(), nn.Linear(256, 10))
    x, y = torch.rand(128, 3, 8, 8), torch.randint(0, 10, (128,))

    def gain(**options: Any) -> float:
        with frozen(network):
            objective = classifier_objective(network, y, amp_dtype=torch.bfloat16)
            out = PGD(make_threat("linf", eps), 10, eps / 4, **options)(objective, x)
        exact = copy.deepcopy(network).double()
        with torch.no_grad():
            before, after = (F.cross_entropy(exact(z.double()), y) for z in (x, out))
        return float(after - before)

    last = gain()
    assert gain(best_iterate=True) < 0.99 * last
    resolution = torch.finfo(torch.bfloat16).eps
    assert gain(best_iterate=True, resolution=resolution) > 0.99 * last


def test_iterates_that_fall_within_the_resolution_do_not_lower_the_bar() -> None:
    # each step loses 1.2 % of the first loss: one is a tie at 2 %, four in all are none
    def falling(z: torch.Tensor) -> torch.Tensor:
        value = z.flatten(1).sum(1)
        return 1 - 1.2 * (value.detach() - 0.5).abs() + 0.0 * value + (value - value.detach())

    x = torch.full((1, 1, 1, 1), 0.5)
    attack = PGD(make_threat("linf", 0.04), 4, 0.01, best_iterate=True, resolution=0.02)
    assert torch.allclose(attack(falling, x), x + 0.01)
