"""The losses of the methods against the formulas of their papers, written here once more in numpy,
on logits and values that are recorded."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import nn

from robust_det.classification.methods import Method, PGDTraining, Trained
from robust_det.classification.methods.free import Free
from robust_det.classification.methods.mart import Mart, boosted_cross_entropy
from robust_det.classification.methods.trades import Trades

Array = NDArray[np.float64]

CLEAN = np.array(
    [[2.0, -1.0, 0.5, 0.0], [0.3, 0.1, -0.2, 0.4], [-3.0, 4.0, 1.0, 2.5], [0.0, 9.0, -2.0, 1.0]]
)
ATTACKED = np.array(
    [[0.5, 0.0, 1.5, -0.5], [0.6, -0.4, 0.2, 0.3], [-1.0, 2.0, 2.5, 0.5], [3.0, 1.0, -1.0, 0.5]]
)
TARGETS = np.array([0, 3, 1, 1])


def softmax(logits: Array) -> Array:
    powers = np.exp(logits)
    return powers / powers.sum(1, keepdims=True)


def of_true(p: Array) -> Array:
    return p[np.arange(len(p)), TARGETS]


def kl(p: Array, q: Array) -> Array:
    return (p * np.log(p / q)).sum(1)


def madry(clean: Array, attacked: Array) -> float:
    """Madry et al. 2018: the mean of -log p_y(x')."""
    return float(-np.log(of_true(softmax(attacked))).mean())


def trades(clean: Array, attacked: Array) -> float:
    """Zhang et al. 2019: CE(p(x), y) + beta KL(p(x) || p(x')), beta 6."""
    p, q = softmax(clean), softmax(attacked)
    return float((-np.log(of_true(p)) + 6 * kl(p, q)).mean())


def mart(clean: Array, attacked: Array) -> float:
    """Wang et al. 2020: BCE(p(x'), y) + lambda KL(p(x) || p(x')) (1 - p_y(x)), lambda 5."""
    p, q = softmax(clean), softmax(attacked)
    others = q.copy()
    others[np.arange(len(q)), TARGETS] = 0
    bce = -np.log(of_true(q)) - np.log(1 - others.max(1))
    return float((bce + 5 * kl(p, q) * (1 - of_true(p))).mean())


CASES: list[tuple[Method, Callable[[Array, Array], float], float]] = [
    (PGDTraining(), madry, 1.53797880),
    (Free(), madry, 1.53797880),
    (Trades(6.0), trades, 5.79895568),
    (Mart(weight=5.0), mart, 2.94700580),
]


def loss(method: Method, clean: Array, attacked: Array, still: int = 0) -> list[torch.Tensor]:
    """Return a method's loss where images are logits, and these; the first so many stay clean."""
    x, moved = (torch.tensor(each, dtype=torch.float32) for each in (clean, attacked))
    inputs = [x.requires_grad_(True), moved.requires_grad_(True)]
    found, logits = method.loss(Trained(nn.Identity()), x, moved[still:], torch.tensor(TARGETS))
    assert torch.equal(logits, torch.cat([x[:still], moved[still:]]))
    return [found, *inputs]


@pytest.mark.parametrize("method, formula, value", CASES)
def test_a_loss_is_its_papers(
    method: Method, formula: Callable[[Array, Array], float], value: float
) -> None:
    found, _, _ = loss(method, CLEAN, ATTACKED)
    assert formula(CLEAN, ATTACKED) == pytest.approx(value, abs=1e-8)
    assert found.item() == pytest.approx(value, rel=1e-6)


@pytest.mark.parametrize("method, formula, value", CASES)
def test_a_loss_is_differentiated_by_all_that_it_is_made_of(
    method: Method, formula: Callable[[Array, Array], float], value: float
) -> None:
    found, *inputs = loss(method, CLEAN, ATTACKED)
    found.backward()
    for number, tensor in enumerate(inputs):
        slopes = np.zeros_like(CLEAN)
        for place in np.ndindex(*CLEAN.shape):
            step = np.zeros_like(CLEAN)
            step[place] = 1e-6
            up, down = [[CLEAN, ATTACKED], [CLEAN, ATTACKED]]
            up[number], down[number] = up[number] + step, down[number] - step
            slopes[place] = (formula(*up) - formula(*down)) / 2e-6
        grad = torch.zeros_like(tensor) if tensor.grad is None else tensor.grad
        np.testing.assert_allclose(grad.numpy(), slopes, atol=1e-6)
        assert np.abs(slopes).max() > 0.01 or (number == 0 and formula is madry)


@pytest.mark.parametrize("method, formula, value", CASES)
def test_of_images_that_stay_clean_the_cross_entropy_counts(
    method: Method, formula: Callable[[Array, Array], float], value: float
) -> None:
    # what the formulas say where x' is x, but for MART's, which has no loss of images
    found, _, _ = loss(method, CLEAN, ATTACKED, still=1)
    if formula is mart:
        alone = -np.log(softmax(CLEAN)[0, TARGETS[0]])
        rest = mart(CLEAN, ATTACKED) * 4 - mart_of_first()
        assert found.item() == pytest.approx((alone + rest) / 4, rel=1e-6)
    else:
        attacked = np.concatenate([CLEAN[:1], ATTACKED[1:]])
        assert found.item() == pytest.approx(formula(CLEAN, attacked), rel=1e-6)


def mart_of_first() -> float:
    """Return MART's loss of the first image alone, by its formula."""
    p, q = softmax(CLEAN[:1])[0], softmax(ATTACKED[:1])[0]
    divergence = sum(a * np.log(a / b) for a, b in zip(p, q, strict=True))
    return float(-np.log(q[0]) - np.log(1 - q[1:].max()) + 5 * divergence * (1 - p[0]))


def test_boosted_cross_entropy_is_finite_where_a_rival_is_certain() -> None:
    # 1 - p_k of 64-bit numbers; in 32 bits p_k is 1
    logits = torch.tensor([[0.0, 40.0, 1.0]])
    rest = np.exp(-40.0) + np.exp(-39.0)
    expected = 40.0 + np.log1p(rest) - np.log(rest / (1 + rest))
    assert boosted_cross_entropy(logits, torch.tensor([0])).item() == pytest.approx(expected)


@pytest.mark.parametrize(
    "smooth", [PGDTraining, Free, lambda label_smoothing: Trades(0.0, False, label_smoothing)]
)
def test_label_smoothing_is_of_the_cross_entropy(smooth: Callable[..., Method]) -> None:
    method = smooth(label_smoothing=0.2)
    logits = CLEAN if isinstance(method, Trades) else ATTACKED
    log_p = np.log(softmax(logits))
    expected = -(0.8 * log_p[np.arange(4), TARGETS] + 0.2 * log_p.mean(1)).mean()
    assert loss(method, CLEAN, ATTACKED)[0].item() == pytest.approx(expected, rel=1e-6)


# of mixed images: the rows of two classes each
SOFT = np.array(
    [[0.7, 0.3, 0.0, 0.0], [0.0, 0.0, 0.45, 0.55], [0.0, 1.0, 0.0, 0.0], [0.2, 0.8, 0.0, 0.0]]
)


@pytest.mark.parametrize("smoothing", [0.0, 0.2])
@pytest.mark.parametrize("kind", [PGDTraining, Free, Trades])
def test_soft_targets_are_of_the_cross_entropy(kind: Any, smoothing: float) -> None:
    """Mixed with smoothing: -sum over k of ((1 - s) y_k + s / K) log p_k."""
    method = kind(label_smoothing=smoothing, **({"beta": 6.0} if kind is Trades else {}))
    x, moved = (torch.tensor(each, dtype=torch.float32) for each in (CLEAN, ATTACKED))
    if kind is Free:
        moved.requires_grad_(True)
    found, _ = method.loss(Trained(nn.Identity()), x, moved, torch.tensor(SOFT).float())
    p, q = softmax(CLEAN), softmax(ATTACKED)
    targets = (1 - smoothing) * SOFT + smoothing / 4
    expected = -(targets * np.log(p if kind is Trades else q)).sum(1)
    if kind is Trades:
        expected += 6 * kl(p, q)
    assert found.item() == pytest.approx(expected.mean(), rel=1e-6)
