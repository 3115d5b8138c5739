"""Debiased linear CKA of features, exact over all images, and its jackknife over them.

CKA is HSIC(K, L) / sqrt(HSIC(K, K) HSIC(L, L)) of the Gram matrices K = X X' and L = Y Y' of two
sets of features of the same images (Kornblith et al. 2019, section 3). With the usual estimator of
HSIC, which is biased, it nears 1 of any features that are many against the images (Murphy et al.
2024). Here it is the unbiased one of Song et al. 2012, as in Nguyen, Raghu and Kornblith 2021
(section 2), of all images at once in place of a mean over batches. With K~ and L~, whose diagonals
are 0,

    n (n - 3) HSIC = tr(K~ L~) + 1'K~1 1'L~1 / ((n - 1)(n - 2)) - 2 1'K~L~1 / (n - 2).

Features less their mean give the same value, as it depends on their differences alone. Their Gram
matrices have rows that sum to 0, so that K~1 = -k, with k the diagonal of K, and what is left is

    n (n - 3) HSIC = |X'Y|^2 - n / (n - 2) k.l + sum(k) sum(l) / ((n - 1)(n - 2)).

Without an image, whose deviations x and y are known, all three change by sums that one pass gives;
so each value of the jackknife is exact as well. The bootstrap would not do: an image that is drawn
twice is a pair with itself, which is what the unbiased estimator leaves out.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.special import stdtrit

from robust_det.core.resampling import Interval

__all__ = ["FEWEST_IMAGES", "Centred", "Hsic", "Similarity", "hsic", "jackknife", "similarity"]

FEWEST_IMAGES = 4  # n - 3 divides
_ROWS = 1024  # images in double precision at once
_ROUNDING = 1e-6  # of a feature's largest value, by which float32 passes may differ
_CANCELLED = 1e-10  # of the biased HSIC, below which nothing is left but rounding
Vector = NDArray[np.float64]


class Centred:
    """Features of images, of which deviations from their mean are had in double precision.

    Args:
        values: (N, D) float32, finite.

    Attributes:
        values: as they were given.
        norms: (N,) squares of the deviations' lengths.
        constant: whether no feature differs between images by more than float32 passes do.
    """

    def __init__(self, values: torch.Tensor) -> None:
        self.values = values
        self._mean = values.mean(0, dtype=torch.float64)
        self.norms = torch.cat([part.square().sum(1) for part in self.blocks()])
        low, high = values.amin(0), values.amax(0)
        largest = torch.maximum(low.abs(), high.abs())
        self.constant = not bool((high - low > _ROUNDING * largest).any())

    def __len__(self) -> int:
        return len(self.values)

    @property
    def width(self) -> int:
        """How many features an image has, D."""
        return self.values.shape[1]

    def rows(self, start: int) -> torch.Tensor:
        """Return deviations of a block of images, (B, D) float64."""
        return self.values[start : start + _ROWS].double() - self._mean

    def blocks(self) -> Iterator[torch.Tensor]:
        """Give the blocks in their order."""
        return (self.rows(start) for start in range(0, len(self), _ROWS))


@dataclass(frozen=True)
class Hsic:
    """The unbiased HSIC of two sets of features.

    Attributes:
        value: of all images.
        without: (N,) of all but one each; NaN of four images.
        biased: |X'Y|^2, the biased one up to a factor that CKA does not have.
    """

    value: float
    without: Vector
    biased: float


@dataclass(frozen=True)
class Similarity:
    """CKA of two sets of features.

    Attributes:
        value: debiased, in [-1, 1]: 1 of features that are the same up to rotation, shift and
            scale, 0 on average of independent ones; NaN if either does not vary.
        without: (N,) of all images but one each.
        biased: by the biased estimator, in [0, 1], as much of the literature reports it.
    """

    value: float
    without: Vector
    biased: float


def hsic(x: Centred, y: Centred) -> Hsic:
    """Return the unbiased HSIC of linear kernels.

    Memory beside the features is that of a block of images, and of the smaller of the matrices
    (D, D') and a block's rows of (N, N).

    Args:
        x, y: of the same images, N >= 4, in one order.
    """
    n = len(x)
    if n < FEWEST_IMAGES or len(y) != n:
        raise ValueError(f"{n} and {len(y)} images; {FEWEST_IMAGES} or more of the same are needed")
    if x.constant or y.constant:
        return Hsic(0.0, np.full(n, np.nan), 0.0)
    k, l = x.norms.numpy(), y.norms.numpy()  # noqa: E741
    q, u, v = (part.numpy() for part in _sums(x, y))
    p = k * l
    value = float(_estimate(n, q.sum(), p.sum(), k.sum(), l.sum()))
    if n == FEWEST_IMAGES:
        return Hsic(value, np.full(n, np.nan), float(q.sum()))
    # the others' mean moves by -x / m, so that each deviation is x_j + x / m
    m = n - 1
    others = p.sum() - p + 2 / m * (u + v - 2 * p) + (k.sum() * l + l.sum() * k - 2 * p) / m**2
    others += 4 / m**2 * (q - p) - 3 * p / m**3
    crossed = q.sum() - 2 * n / m * q + (n / m) ** 2 * p
    without = _estimate(m, crossed, others, k.sum() - n / m * k, l.sum() - n / m * l)
    return Hsic(value, without, float(q.sum()))


def similarity(both: Hsic, x: Hsic, y: Hsic) -> Similarity:
    """Return CKA.

    Args:
        both: HSIC of two sets of features.
        x, y: that of each with itself.
    """
    if any(one.value <= _CANCELLED * one.biased for one in (x, y)):
        return Similarity(math.nan, np.full_like(both.without, np.nan), math.nan)
    product = np.maximum(x.without * y.without, 0)  # of 5 images all but one may not vary
    with np.errstate(divide="ignore", invalid="ignore"):
        without = both.without / np.sqrt(product)
    without[~np.isfinite(without)] = np.nan
    return Similarity(
        _within(both.value / math.sqrt(x.value * y.value)),
        np.clip(without, -1, 1),
        both.biased / math.sqrt(x.biased * y.biased),
    )


def jackknife(value: float, without: Vector, bound: float = 1.0) -> Interval:
    """Return a figure with its 95% interval over images, by the jackknife.

    Its variance is (n - 1) / n times the sum of squares of the values without an image each (Efron
    and Stein 1981), and the interval that of t with n - 1 degrees of freedom, cut off at the bound.

    Args:
        value: of all images.
        without: (N,) of all but one each.
        bound: the figure lies in [-bound, bound].
    """
    n = len(without)
    if n < 2 or not np.isfinite(without).all() or math.isnan(value):
        return Interval(value, math.nan, math.nan)
    error = math.sqrt((n - 1) / n * float(np.square(without - without.mean()).sum()))
    half = float(stdtrit(n - 1, 0.975)) * error
    return Interval(value, max(value - half, -bound), min(value + half, bound))


def _estimate(n: int, crossed: Vector, p: Vector, k: Vector, l: Vector) -> Vector:  # noqa: E741
    return (crossed - n / (n - 2) * p + k * l / ((n - 1) * (n - 2))) / (n * (n - 3))


def _within(value: float) -> float:
    return min(max(float(value), -1.0), 1.0)


def _sums(x: Centred, y: Centred) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Return, of each image i, sum_j K_ij L_ij, sum_j K_ij l_j and sum_j L_ij k_j; (N,) each."""
    n = len(x)
    if 2 * x.width * y.width <= n * (x.width + y.width):
        return _by_features(x, y)
    parts = []
    for start in range(0, n, _ROWS):
        one, other = x.rows(start), y.rows(start)
        q, u, v = (torch.zeros(len(one), dtype=torch.float64) for _ in range(3))
        for at, a, b in zip(range(0, n, _ROWS), x.blocks(), y.blocks(), strict=True):
            left, right = one @ a.T, other @ b.T
            q += (left * right).sum(1)
            u += left @ y.norms[at : at + _ROWS]
            v += right @ x.norms[at : at + _ROWS]
        parts.append((q, u, v))
    q, u, v = (torch.cat(list(each)) for each in zip(*parts, strict=True))
    return q, u, v


def _by_features(x: Centred, y: Centred) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Return the same from the matrix (D, D') of the features' products."""
    cross = torch.zeros(x.width, y.width, dtype=torch.float64)
    towards_x = torch.zeros(x.width, dtype=torch.float64)
    towards_y = torch.zeros(y.width, dtype=torch.float64)
    for at, a, b in zip(range(0, len(x), _ROWS), x.blocks(), y.blocks(), strict=True):
        cross += a.T @ b
        towards_x += a.T @ y.norms[at : at + _ROWS]
        towards_y += b.T @ x.norms[at : at + _ROWS]
    parts = [
        (((a @ cross) * b).sum(1), a @ towards_x, b @ towards_y)
        for a, b in zip(x.blocks(), y.blocks(), strict=True)
    ]
    q, u, v = (torch.cat(list(each)) for each in zip(*parts, strict=True))
    return q, u, v
