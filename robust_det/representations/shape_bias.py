"""How often networks decide by shape where shape and texture contradict each other.

The shape bias of Geirhos et al. 2019 (section 2) is the share of decisions for the category of the
shape among those for the category of either cue; decisions for any other do not count.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.stats import binomtest

from robust_det.core.resampling import Interval, difference, resamples_of
from robust_det.representations.cue_conflict import CueConflict

__all__ = ["RESAMPLES", "Decided", "ShapeBias", "bias_gap", "by_category", "decided", "shape_bias"]

RESAMPLES = 2000
_SEED = 0  # of the resamples, which are the same for all networks
Flags = NDArray[np.bool_]


@dataclass(frozen=True)
class Decided:
    """What a network took images for.

    Attributes:
        by_shape, by_texture: (N,) whether it was the category of that cue.
    """

    by_shape: Flags
    by_texture: Flags


@dataclass(frozen=True)
class ShapeBias:
    """Decisions of a network, counted.

    Attributes:
        images: how many there are.
        shape, texture: decisions for the category of that cue.
        interval: the shape bias in percent; NaN without either decision.
    """

    images: int
    shape: int
    texture: int
    interval: Interval


def decided(images: Sequence[CueConflict], taken_for: Sequence[str]) -> Decided:
    """Return which cue decided.

    Args:
        images: whose cues contradict each other, N.
        taken_for: categories, N.
    """
    pairs = list(zip(images, taken_for, strict=True))
    return Decided(
        np.array([one.shape == name for one, name in pairs], bool),
        np.array([one.texture == name for one, name in pairs], bool),
    )


def shape_bias(own: Decided) -> ShapeBias:
    """Return the shape bias with the 95% interval of Wilson 1927 over the images that count."""
    shape, texture = int(own.by_shape.sum()), int(own.by_texture.sum())
    low, high = _wilson(shape, shape + texture)
    value = 100 * shape / (shape + texture) if shape + texture else math.nan
    return ShapeBias(len(own.by_shape), shape, texture, Interval(value, low, high))


def bias_gap(one: Sequence[Decided], other: Sequence[Decided]) -> Interval:
    """Return the mean shape bias of some networks less that of others, in points.

    Its 95% interval is the percentiles of the bootstrap over images, of which all networks see the
    same ones: the difference is paired.

    Args:
        one, other: decisions on the same images in one order.
    """
    everything = np.arange(len(one[0].by_shape))
    value = _mean(one, everything) - _mean(other, everything)
    resampled = [
        _mean(one, drawn) - _mean(other, drawn)
        for drawn in resamples_of(len(everything), RESAMPLES, _SEED)
    ]
    return difference(value, np.array(resampled))


def by_category(images: Sequence[CueConflict], own: Decided) -> Mapping[str, tuple[int, int, int]]:
    """Return, of each category of shape, how many images it has, and the decisions for the shape
    and for the texture."""
    counts = {}
    for name in sorted({one.shape for one in images}):
        places = np.array([one.shape == name for one in images])
        shape, texture = own.by_shape[places].sum(), own.by_texture[places].sum()
        counts[name] = (int(places.sum()), int(shape), int(texture))
    return counts


def _mean(networks: Sequence[Decided], drawn: NDArray[np.int64]) -> float:
    values = []
    for own in networks:
        shape, texture = int(own.by_shape[drawn].sum()), int(own.by_texture[drawn].sum())
        values.append(100 * shape / (shape + texture) if shape + texture else math.nan)
    return float(np.mean(values))


def _wilson(hits: int, number: int) -> tuple[float, float]:
    """Return the ends of Wilson's interval in percent; NaN of nothing."""
    if not number:
        return math.nan, math.nan
    ends = binomtest(hits, number).proportion_ci(method="wilson")
    # rounding leaves 1e-14 of what is 0 or 1
    low, high = (100 * float(end) for end in (ends.low, ends.high))
    return low if hits else 0.0, high if hits < number else 100.0
