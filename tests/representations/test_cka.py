"""Debiased CKA against plain definitions in double precision."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from robust_det.representations import cka
from robust_det.representations.cka import Centred, Similarity, hsic, jackknife, similarity

Matrix = NDArray[np.float64]


def plain_hsic(x: Matrix, y: Matrix) -> float:
    """The unbiased one of Song et al. 2012, term by term from whole Gram matrices."""
    n = len(x)
    k, l = x @ x.T, y @ y.T  # noqa: E741
    np.fill_diagonal(k, 0)
    np.fill_diagonal(l, 0)
    one = np.ones(n)
    terms = np.trace(k @ l) + one @ k @ one * (one @ l @ one) / ((n - 1) * (n - 2))
    return float((terms - 2 / (n - 2) * (one @ k @ l @ one)) / (n * (n - 3)))


def plain_cka(x: Matrix, y: Matrix) -> float:
    return plain_hsic(x, y) / math.sqrt(plain_hsic(x, x) * plain_hsic(y, y))


def u_centred_cka(x: Matrix, y: Matrix) -> float:
    """Szekely and Rizzo 2014: the cosine of U-centred matrices."""

    def centred(a: Matrix) -> Matrix:
        n = len(a)
        k = a @ a.T
        np.fill_diagonal(k, 0)
        rows = k.sum(1)
        k = k - rows[:, None] / (n - 2) - rows / (n - 2) + k.sum() / ((n - 1) * (n - 2))
        np.fill_diagonal(k, 0)
        return k

    a, b = centred(x), centred(y)
    return float((a * b).sum() / np.sqrt((a * a).sum() * (b * b).sum()))


def biased_cka(x: Matrix, y: Matrix) -> float:
    x, y = x - x.mean(0), y - y.mean(0)
    return float(
        np.square(x.T @ y).sum() / np.sqrt(np.square(x.T @ x).sum() * np.square(y.T @ y).sum())
    )


def ours(x: Matrix, y: Matrix) -> Similarity:
    a, b = (Centred(torch.from_numpy(each).float()) for each in (x, y))
    return similarity(hsic(a, b), hsic(a, a), hsic(b, b))


def related(n: int, d: int, e: int, seed: int = 0) -> tuple[Matrix, Matrix]:
    """Features with something in common, far from 0, in single precision."""
    rng = np.random.default_rng(seed)
    common = rng.normal(size=(n, 3))
    x = common @ rng.normal(size=(3, d)) + rng.normal(size=(n, d)) + 5
    y = common @ rng.normal(size=(3, e)) + rng.normal(size=(n, e)) - 40
    return x.astype(np.float32).astype(np.float64), y.astype(np.float32).astype(np.float64)


@pytest.mark.parametrize(
    "n, d, e", [(4, 3, 2), (5, 9, 4), (30, 200, 7), (60, 8, 5), (200, 12, 300), (300, 6, 6)]
)
def test_it_is_the_definition(n: int, d: int, e: int) -> None:
    x, y = related(n, d, e)
    found = ours(x, y)
    assert found.value == pytest.approx(plain_cka(x, y), abs=1e-9)
    assert found.value == pytest.approx(u_centred_cka(x, y), abs=1e-9)
    assert found.biased == pytest.approx(biased_cka(x, y), abs=1e-9)


@pytest.mark.parametrize("n, d, e", [(6, 3, 2), (25, 60, 40), (40, 4, 5)])
def test_each_value_without_an_image_is_that_of_the_others(n: int, d: int, e: int) -> None:
    x, y = related(n, d, e, 1)
    found = ours(x, y).without
    plain = [plain_cka(np.delete(x, i, 0), np.delete(y, i, 0)) for i in range(n)]
    assert found == pytest.approx(plain, abs=1e-8)


@pytest.mark.parametrize("rows", [3, 17, 64])
@pytest.mark.parametrize("d", [5, 90])  # by products of features, and by rows of Gram matrices
def test_blocks_change_nothing(rows: int, d: int, monkeypatch: pytest.MonkeyPatch) -> None:
    x, y = related(50, d, d + 2)
    whole = ours(x, y)
    monkeypatch.setattr(cka, "_ROWS", rows)
    parts = ours(x, y)
    assert parts.value == pytest.approx(whole.value, abs=1e-12)
    assert parts.without == pytest.approx(whole.without, abs=1e-10)


def test_rotation_scale_and_shift_change_nothing() -> None:
    x, y = related(80, 20, 10)
    turn = np.linalg.qr(np.random.default_rng(2).normal(size=(20, 20)))[0]
    moved = ours(x @ turn * 7.5 + 3, y)
    assert moved.value == pytest.approx(ours(x, y).value, abs=1e-6)
    assert ours(x, 0.01 * x @ turn).value == pytest.approx(1, abs=1e-6)
    assert ours(x, x).value == pytest.approx(1, abs=1e-12)
    # but not what is no rotation
    stretched = ours(x * np.linspace(0.1, 5, 20), y).value
    assert abs(stretched - ours(x, y).value) > 1e-3


def test_independent_features_give_0_where_the_biased_estimator_nears_1() -> None:
    values, biased = [], []
    for seed in range(20):
        rng = np.random.default_rng(seed)
        found = ours(rng.normal(size=(40, 4000)), rng.normal(size=(40, 4000)))
        values.append(found.value)
        biased.append(found.biased)
    assert abs(np.mean(values)) < 3 * np.std(values, ddof=1) / math.sqrt(20) + 1e-3
    assert np.abs(values).max() < 0.15
    assert min(biased) > 0.95


def test_what_does_not_vary_is_undefined() -> None:
    x, _ = related(20, 6, 6)
    constant = np.full((20, 4), 0.3)
    assert math.isnan(ours(x, constant).value) and math.isnan(ours(constant, constant).value)
    assert Centred(torch.full((20, 4), 0.3)).constant and not Centred(torch.eye(5)).constant
    nearly = torch.full((20, 4), 0.3) * (1 + 1e-8 * torch.arange(20)[:, None])
    assert Centred(nearly).constant
    # as far from each other all of them: no pair is nearer than another
    assert math.isnan(ours(np.eye(8), x[:8]).value)


def test_fewer_than_four_images_are_refused() -> None:
    x = Centred(torch.randn(3, 5))
    with pytest.raises(ValueError, match="4 or more"):
        hsic(x, x)


def test_the_interval_is_that_of_the_jackknife() -> None:
    x, y = related(40, 10, 8)
    found = ours(x, y)
    interval = jackknife(found.value, found.without)
    plain = np.array([plain_cka(np.delete(x, i, 0), np.delete(y, i, 0)) for i in range(40)])
    error = math.sqrt(39 / 40 * np.square(plain - plain.mean()).sum())
    assert interval.high - interval.low == pytest.approx(2 * 2.0227 * error, rel=1e-3)
    whole = ours(x, x)
    assert jackknife(whole.value, whole.without).high == pytest.approx(1)
    assert math.isnan(jackknife(0.5, ours(x[:4], y[:4]).without).low)


def test_the_interval_holds_the_truth() -> None:
    """Of 300 draws of images, the figure of a large population lies in about 95%."""
    x, y = related(20000, 6, 5)
    truth = ours(x, y).value
    rng = np.random.default_rng(5)
    held = 0
    for _ in range(300):
        drawn = rng.choice(20000, 100, replace=False)
        found = ours(x[drawn], y[drawn])
        interval = jackknife(found.value, found.without)
        held += interval.low <= truth <= interval.high
    assert 0.90 <= held / 300 <= 0.99
