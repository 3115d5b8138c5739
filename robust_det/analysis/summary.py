"""Means over seeds and differences between them."""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterable
from dataclasses import dataclass

__all__ = ["FEWEST_FOR_STD", "Summary", "difference", "summarise"]

# of two values a deviation says no more than their range, and looks as if it did
FEWEST_FOR_STD = 3


@dataclass(frozen=True)
class Summary:
    """A number measured ``n`` times.

    Attributes:
        n: how many values there are; 0 if all are undefined.
        mean: NaN for n = 0.
        std: the sample standard deviation (n - 1 in the denominator); NaN below n = 3.
        low, high: the least and the greatest value; NaN for n = 0.
    """

    n: int
    mean: float
    std: float
    low: float
    high: float


def summarise(values: Iterable[float]) -> Summary:
    """Return mean, sample standard deviation and range of the defined (not NaN) values."""
    defined = [v for v in values if not math.isnan(v)]
    n = len(defined)
    mean = statistics.fmean(defined) if n else math.nan
    std = statistics.stdev(defined) if n >= FEWEST_FOR_STD else math.nan
    low, high = (min(defined), max(defined)) if n else (math.nan, math.nan)
    return Summary(n, mean, std, low, high)


def difference(value: Summary, baseline: Summary) -> Summary:
    """Return ``value - baseline`` for two independent groups of runs.

    Seeds are not paired: equal seeds of two backbones share the order of the data and little
    else. The standard deviation is therefore that of the difference of one run of each,
    sqrt(s1**2 + s2**2), in the same sense as those of the two numbers; it needs n >= 3 in both
    and is NaN otherwise. The range is that of all differences of one run of each. ``n`` is the
    smaller of the two.
    """
    return Summary(
        min(value.n, baseline.n),
        value.mean - baseline.mean,
        math.hypot(value.std, baseline.std),
        value.low - baseline.high,
        value.high - baseline.low,
    )
