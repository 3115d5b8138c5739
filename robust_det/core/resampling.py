"""Resamples of images with replacement, and intervals from what they give."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

__all__ = ["FEWEST_RESAMPLES", "Interval", "difference", "percentiles", "resamples_of"]

_TAIL = 2.5  # percent on either side
FEWEST_RESAMPLES = 40  # one in each tail


@dataclass(frozen=True)
class Interval:
    """A figure with its 95% interval, in percent; NaN where the figure is not defined.

    Attributes:
        value: of the images as they are.
        low, high: the interval's ends.
        above, below: of a difference, the shares of the resamples above and below 0.
    """

    value: float
    low: float
    high: float
    above: float = np.nan
    below: float = np.nan


def resamples_of(images: int, resamples: int, seed: int) -> Iterator[NDArray[np.int64]]:
    """Give the images drawn in each resample, (images,) with repetitions.

    Runs on the same images that are given the same numbers here get the same draws, which makes
    their differences paired.
    """
    rng = np.random.default_rng(seed)
    return (rng.integers(0, images, images) for _ in range(resamples))


def percentiles(values: NDArray[np.float64], comparisons: int = 1) -> tuple[float, float]:
    """Return the ends of the 95% interval of resampled values, NaN if none is defined.

    Args:
        values: (R,); what is NaN is left out.
        comparisons: how many figures shall lie in their intervals at once with 95%, by Bonferroni:
            each has a level of 1 - 0.05 / comparisons.
    """
    defined = values[~np.isnan(values)]
    if not len(defined):
        return np.nan, np.nan
    tail = _TAIL / comparisons
    low, high = np.percentile(defined, (tail, 100 - tail))
    return float(low), float(high)


def difference(value: float, resampled: NDArray[np.float64], comparisons: int = 1) -> Interval:
    """Return the percentile interval of a difference from its values (R,) in the resamples."""
    defined = resampled[~np.isnan(resampled)]
    shares = [float(np.mean(s)) if len(s) else np.nan for s in (defined > 0, defined < 0)]
    return Interval(value, *percentiles(resampled, comparisons), *shares)
