"""Bootstrap over images: how far a figure could lie off, had other images been drawn.

Efron 1979, *Bootstrap Methods: Another Look at the Jackknife*. It measures the choice of the test
images alone; what another seed of the training would change is seen between seeds.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from robust_det.analysis.significance.accumulate import (
    average_precisions,
    class_changes,
    metrics,
)
from robust_det.analysis.significance.matching import Matches
from robust_det.core.progress import progress_bar
from robust_det.core.resampling import (
    FEWEST_RESAMPLES,
    Interval,
    difference,
    percentiles,
    resamples_of,
)

__all__ = [
    "FEWEST_RESAMPLES",
    "INTERVALS",
    "Bootstrap",
    "Interval",
    "bootstrap",
    "difference_interval",
    "figure_interval",
    "mean_of",
    "resample_weights",
]

INTERVALS = ("basic", "percentile")
_MOST_CHANGED = 0.01  # share of the resamples that may have objects of other classes


@dataclass(frozen=True)
class Bootstrap:
    """Figures of a run.

    Attributes:
        values: metric -> its value for the images as they are, in percent.
        resampled: metric -> its values in the resamples, of shape (R,); NaN in all of them if
            too many have objects of other classes than the images as they are: a mean over other
            classes says nothing of the figure.
    """

    values: Mapping[str, float]
    resampled: Mapping[str, NDArray[np.float64]]


def resample_weights(images: int, resamples: int, seed: int) -> NDArray[np.int32]:
    """Return how often each image is drawn in each resample, of shape (resamples, images).

    A row sums to ``images``. Runs on the same images that are given the same numbers here get the
    same draws, which makes their differences paired.
    """
    draws = resamples_of(images, resamples, seed)
    return np.stack([np.bincount(d, minlength=images) for d in draws]).astype(np.int32)


def bootstrap(matches: Matches, resamples: int, seed: int, label: str = "resample") -> Bootstrap:
    """Accumulate once for the images as they are, and once a resample.

    Args:
        matches: of one run.
        resamples: how many, at least 1.
        seed: of the draws.
        label: of the progress bar.
    """
    images = len(matches.images)
    plain = np.ones((1, images), np.int32)
    weights = np.concatenate([plain, resample_weights(images, resamples, seed)])
    with progress_bar(len(matches.classes), label, "class") as bar:
        precisions = average_precisions(matches, weights, bar.update)
    figures = metrics(matches, precisions)
    changed = class_changes(matches, precisions)
    return Bootstrap(
        {name: float(all_[0]) for name, all_ in figures.items()},
        {
            name: all_[1:] if changed[name] <= _MOST_CHANGED else np.full(resamples, np.nan)
            for name, all_ in figures.items()
        },
    )


def mean_of(several: list[Bootstrap]) -> Bootstrap:
    """Return the mean of several runs' figures, resample by resample."""
    names = several[0].values
    return Bootstrap(
        {name: float(np.mean([b.values[name] for b in several])) for name in names},
        {name: np.mean([b.resampled[name] for b in several], axis=0) for name in names},
    )


def figure_interval(run: Bootstrap, metric: str, kind: str = "basic") -> Interval:
    """Return the interval of a figure: the basic one, which reflects, or that of the percentiles.

    AP over few images is too high on average, and a resample, which repeats images, is too high
    once more. The percentiles of the resamples lie off by that twice; reflected about the figure
    (the "basic" interval of Davison & Hinkley 1997, *Bootstrap Methods and their Application*,
    section 5.2) they are moved the right way.

    Args:
        run: of which a figure is.
        metric: such as ``"AP"``.
        kind: one of :data:`INTERVALS`.
    """
    value = run.values[metric]
    low, high = percentiles(run.resampled[metric])
    if kind == "basic":
        # no AP lies outside of these
        low, high = (float(np.clip(2 * value - end, 0, 100)) for end in (high, low))
    return Interval(value, low, high)


def difference_interval(
    run: Bootstrap, baseline: Bootstrap, metric: str, comparisons: int = 1
) -> Interval:
    """Return ``run - baseline``, paired resample by resample, with its percentile interval.

    The bias that a figure's interval is reflected for is in both sides, and falls out.

    Args:
        run, baseline: of the same images and the same draws.
        metric: such as ``"AP"``.
        comparisons: how many differences shall lie in their intervals at once with 95%, by
            Bonferroni: each has a level of 1 - 0.05 / comparisons.
    """
    resampled = run.resampled[metric] - baseline.resampled[metric]
    return difference(run.values[metric] - baseline.values[metric], resampled, comparisons)
