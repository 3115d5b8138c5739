"""Means of independent runs, their differences, and corrections for several of these.

Intervals are of 95%, and those of the t distribution: over few runs of about normal figures.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

from scipy.special import stdtr, stdtrit

__all__ = ["LEVEL", "Difference", "Estimate", "estimate", "held_out", "holm", "paired", "welch"]

LEVEL = 0.05
_ROUNDING = 1e-9  # points by which figures that are the same may differ
K = TypeVar("K", bound=Hashable)


@dataclass(frozen=True)
class Estimate:
    """A mean of independent values.

    Attributes:
        n: how many are defined.
        mean: NaN for n = 0.
        std: the sample standard deviation (n - 1 in the denominator); NaN below n = 2.
        low, high: ends of the interval of the mean; NaN below n = 2, and of values that are all
            the same, whose spread is not known to be 0.
    """

    n: int
    mean: float
    std: float
    low: float
    high: float


@dataclass(frozen=True)
class Difference:
    """A difference of two means.

    Attributes:
        value: NaN if either mean is undefined.
        low, high: ends of its interval; NaN where a side has one value, or none has a spread.
        p: of the two-sided test that it is 0; NaN likewise.
    """

    value: float
    low: float
    high: float
    p: float


def estimate(values: Iterable[float]) -> Estimate:
    """Return mean, deviation and interval of the defined (not NaN) values."""
    defined = [value for value in values if not math.isnan(value)]
    n = len(defined)
    mean = statistics.fmean(defined) if n else math.nan
    std = statistics.stdev(defined) if n > 1 else math.nan
    if std < _ROUNDING:
        std = 0.0
    half = math.nan
    if n > 1 and std > 0:
        half = float(stdtrit(n - 1, 1 - LEVEL / 2)) * std / math.sqrt(n)
    return Estimate(n, mean, std, mean - half, mean + half)


def paired(values: Iterable[float]) -> Difference:
    """Return the mean of differences within pairs, by the t test for pairs.

    Args:
        values: one difference a pair; NaN are left out.
    """
    one = estimate(values)
    if math.isnan(one.low):
        return Difference(one.mean, math.nan, math.nan, math.nan)
    t = one.mean / (one.std / math.sqrt(one.n))
    return Difference(one.mean, one.low, one.high, _two_sided(t, one.n - 1))


def held_out(values: Sequence[float]) -> Difference:
    """Return the mean of differences, each of a run that its choice did not look at.

    Every other run took part in the choice, so that the differences are not independent: the
    variance of their mean is (1 / n + 1 / (n - 1)) s^2 (Nadeau & Bengio 2003, with one run held out
    and n - 1 chosen by), where that of independent ones is s^2 / n.

    Args:
        values: one difference a run, all of them defined.
    """
    one = estimate(values)
    if math.isnan(one.low):
        return Difference(one.mean, math.nan, math.nan, math.nan)
    error = one.std * math.sqrt(1 / one.n + 1 / (one.n - 1))
    half = float(stdtrit(one.n - 1, 1 - LEVEL / 2)) * error
    p = _two_sided(one.mean / error, one.n - 1)
    return Difference(one.mean, one.mean - half, one.mean + half, p)


def welch(value: Estimate, baseline: Estimate) -> Difference:
    """Return ``value - baseline`` of independent groups, which may spread differently.

    Welch 1947, with the degrees of freedom of Satterthwaite 1946.
    """
    gap = value.mean - baseline.mean
    if min(value.n, baseline.n) < 2 or value.std == baseline.std == 0:
        return Difference(gap, math.nan, math.nan, math.nan)
    parts = [(one.std**2 / one.n, one.n - 1) for one in (value, baseline)]
    variance = sum(part for part, _ in parts)
    freedom = variance**2 / sum(part**2 / n for part, n in parts)
    error = math.sqrt(variance)
    half = float(stdtrit(freedom, 1 - LEVEL / 2)) * error
    return Difference(gap, gap - half, gap + half, _two_sided(gap / error, freedom))


def _two_sided(t: float, freedom: float) -> float:
    return 2 * float(stdtr(freedom, -abs(t)))


def holm(p: Mapping[K, float]) -> dict[K, float]:
    """Return p-values that hold for all of a family at once, by Holm 1979.

    Args:
        p: of each test of the family; NaN of one that could not be made, which stays NaN and is
            not counted.
    """
    ranked = sorted(
        ((value, key) for key, value in p.items() if not math.isnan(value)),
        key=lambda pair: pair[0],
    )
    out, highest = dict(p), 0.0
    for rank, (value, key) in enumerate(ranked):
        highest = max(highest, min(1.0, (len(ranked) - rank) * value))
        out[key] = highest
    return out
