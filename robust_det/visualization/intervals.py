"""Means over images, and how far they could lie off, had other images been drawn."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from robust_det.core.resampling import Interval, difference, percentiles, resamples_of
from robust_det.visualization.job import Mean

__all__ = ["RESAMPLES", "means_over_images"]

RESAMPLES = 2000
_SEED = 0  # of the resamples, which are the same for all networks


def means_over_images(values: Mapping[str, Sequence[float]], metric: str) -> list[Mean]:
    """Return the mean of each network, and of its differences from the first, image by image.

    The 95% intervals are percentiles of the bootstrap over images; those of differences are paired.

    Args:
        values: by network, (N,) of the same images in the same order.
        metric: its name.
    """
    first = next(iter(values))
    base = np.asarray(values[first], np.float64)
    means = [Mean(name, metric, _mean(np.asarray(own, np.float64))) for name, own in values.items()]
    for name, own in values.items():
        if name != first:
            gap = np.asarray(own, np.float64) - base
            means.append(Mean(name, metric, _mean(gap, of_difference=True), first))
    return means


def _mean(values: np.typing.NDArray[np.float64], of_difference: bool = False) -> Interval:
    value = float(values.mean())
    if len(values) < 2:  # no other images could have been drawn
        return Interval(value, np.nan, np.nan)
    draws = resamples_of(len(values), RESAMPLES, _SEED)
    resampled = np.array([values[draw].mean() for draw in draws])
    if of_difference:
        return difference(value, resampled)
    return Interval(value, *percentiles(resampled))
