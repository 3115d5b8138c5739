"""How far an accuracy could lie off, had other images been drawn."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch

from robust_det.core.errors import UserError, counted
from robust_det.core.resampling import (
    FEWEST_RESAMPLES,
    Interval,
    difference,
    percentiles,
    resamples_of,
)

__all__ = ["accuracy_interval", "difference_interval"]


def accuracy_interval(hits: torch.Tensor, resamples: int = 1000, seed: int = 0) -> Interval:
    """Return the top-1 accuracy in percent, with its 95% bootstrap interval over the images.

    The interval is that of the percentiles: an accuracy is a mean over images, and has none of the
    bias for which that of an AP is reflected. It measures the choice of the test images alone, not
    that of the training images or of the strength.

    Args:
        hits: (N,) bool, whether an image is predicted its class.
        resamples: how many, at least 40.
        seed: of the draws.

    Raises:
        UserError: hits of another shape or type, no images, or too few resamples.
    """
    value, values = _resampled([hits], resamples, seed)
    return Interval(100 * value, *percentiles(100 * values))


def difference_interval(
    hits: torch.Tensor,
    baseline: torch.Tensor,
    resamples: int = 1000,
    seed: int = 0,
    comparisons: int = 1,
) -> Interval:
    """Return the accuracy of one head minus another's on the same images, paired, in percent.

    Args:
        hits, baseline: (N,) bool of the same images in the same order.
        resamples, seed: as in :func:`accuracy_interval`.
        comparisons: how many differences shall lie in their intervals at once with 95%, by
            Bonferroni: each has a level of 1 - 0.05 / comparisons.

    Raises:
        UserError: as in :func:`accuracy_interval`, or the heads have other numbers of images.
    """
    if len(hits) != len(baseline):
        raise UserError(
            f"the heads predict {len(hits):,} and {len(baseline):,} images; a paired difference"
            " needs the same"
        )
    value, values = _resampled([hits, baseline], resamples, seed)
    return difference(100 * value, 100 * values, comparisons)


def _resampled(
    sides: Sequence[torch.Tensor], resamples: int, seed: int
) -> tuple[float, np.typing.NDArray[np.float64]]:
    """Return the share of hits of the first less that of the second side, and (R,) resampled."""
    for hits in sides:
        if hits.ndim != 1 or hits.dtype != torch.bool or not len(hits):
            raise UserError(
                f"hits are one bool an image, not {hits.dtype} of shape {tuple(hits.shape)}"
            )
    if resamples < FEWEST_RESAMPLES:
        raise UserError(
            f"{counted(resamples, 'resample')} give no 95% interval; take {FEWEST_RESAMPLES} or"
            " more"
        )
    first, *second = [hits.cpu().numpy().astype(np.int8) for hits in sides]
    scored = first - second[0] if second else first
    draws = resamples_of(len(scored), resamples, seed)
    return float(scored.mean()), np.array([scored[draw].mean() for draw in draws])
