"""Standard and robust backbones against what two standard ones of other seeds have in common.

No two networks are alike. That a robust one differs from a standard one says something of
robustness as far as it is more than standard ones differ by that were trained from another seed.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from robust_det.analysis.estimates import holm
from robust_det.core.resampling import Interval
from robust_det.representations.cka import Vector, jackknife
from robust_det.representations.pairs import Pair
from robust_det.representations.trainings import STANDARD, other_trainings
from robust_det.visualization.networks import ShownBackbone

__all__ = ["MEAN", "Contrast", "Yardstick", "yardsticks"]

MEAN = "mean"  # over the stages
_MOST = 20_000  # ways of naming the robust ones that are all looked at


@dataclass(frozen=True)
class Contrast:
    """Mean CKA of the same stage over pairs, with intervals over images for these networks.

    Attributes:
        standard: of two standard backbones; NaN with one standard backbone.
        crossed: of a standard and a robust one.
        robust: of two robust ones; NaN with one.
        gap: ``standard`` less ``crossed``, on the same images.
    """

    standard: Interval
    crossed: Interval
    robust: Interval
    gap: Interval


@dataclass(frozen=True)
class Yardstick:
    """A robust training against the standard one, of one architecture.

    Attributes:
        arch: registry name.
        training: the robust one, such as ``L2 ε 1``.
        standard, robust: how many backbones of each.
        beginnings: how many pairs began from the same weights.
        left_out: whether these do not count; they do where there would be no others.
        stages: by name, and :data:`MEAN` of them.
        p: how often, if it is drawn anew which of the backbones are called robust, the gap of the
            mean is as far from 0 or farther; of all yardsticks at once. NaN with one standard one.
        fewest: the smallest p that so many backbones can have.
    """

    arch: str
    training: str
    standard: int
    robust: int
    beginnings: int
    left_out: bool
    stages: Mapping[str, Contrast]
    p: float
    fewest: float


def yardsticks(backbones: Sequence[ShownBackbone], pairs: Sequence[Pair]) -> list[Yardstick]:
    """Return one for each robust training of each architecture that has a standard backbone.

    Args:
        backbones: all of them.
        pairs: all of theirs.
    """
    found = []
    for arch in dict.fromkeys(each.model.arch for each in backbones):
        own = [each for each in backbones if each.model.arch == arch]
        within = [p for p in pairs if p.first in own and p.second in own]
        for training in other_trainings(own):
            one = _yardstick(arch, training, within)
            if one is not None:
                found.append(one)
    p = holm({place: one.p for place, one in enumerate(found)})
    return [replace(one, p=p[place]) for place, one in enumerate(found)]


def _yardstick(arch: str, training: str, pairs: Sequence[Pair]) -> Yardstick | None:
    groups: dict[str, dict[str, None]] = {STANDARD: {}, training: {}}
    for pair in pairs:
        for backbone, name in zip((pair.first, pair.second), pair.trainings, strict=True):
            if name in groups:
                groups[name][backbone.name] = None
    standard, robust = list(groups[STANDARD]), list(groups[training])
    if not standard or not robust:
        return None
    members = [*standard, *robust]
    places = {name: place for place, name in enumerate(members)}
    among = [p for p in pairs if p.first.name in places and p.second.name in places]
    stages = [name for name in among[0].shared if all(name in p.shared for p in among)]
    between = {
        (min(ends), max(ends)): pair
        for pair in among
        for ends in [(places[pair.first.name], places[pair.second.name])]
    }
    blocks = _blocks(len(members), between)
    others = {ends: pair for ends, pair in between.items() if not pair.one_beginning}
    counts = [{(a < len(standard), b < len(standard)) for a, b in own} for own in (between, others)]
    beginnings = len(between) - len(others)
    left_out = counts[0] - {(False, False)} == counts[1] - {(False, False)}
    if left_out:
        between = others
    contrasts = {stage: _contrast(between, len(standard), [stage]) for stage in stages}
    contrasts[MEAN] = _contrast(between, len(standard), stages)
    p, fewest = math.nan, math.nan
    if len(standard) > 1:
        values = np.full((len(members),) * 2, np.nan)
        for (a, b), pair in between.items():
            values[a, b] = values[b, a] = _value(pair, stages)
        p, fewest = permuted(values, len(standard), blocks)
    return Yardstick(
        arch, training, len(standard), len(robust), beginnings, left_out, contrasts, p, fewest
    )


def _value(pair: Pair, stages: Sequence[str]) -> float:
    return math.fsum(pair.cells[name, name].figure.value for name in stages) / len(stages)


def _contrast(
    between: Mapping[tuple[int, int], Pair], standard: int, stages: Sequence[str]
) -> Contrast:
    images = len(next(iter(between.values())).cells[stages[0], stages[0]].without)

    def of(wanted: Callable[[int, int], bool]) -> tuple[float, Vector]:
        chosen = [pair for ends, pair in between.items() if wanted(*ends)]
        if not chosen:
            return math.nan, np.full(images, np.nan)
        value = math.fsum(_value(pair, stages) for pair in chosen) / len(chosen)
        rows = [pair.cells[name, name].without for pair in chosen for name in stages]
        return value, np.mean(rows, 0)

    # the first places are the standard ones, and ends are in rising order
    alike, crossed = of(lambda a, b: b < standard), of(lambda a, b: a < standard <= b)
    gap = jackknife(alike[0] - crossed[0], alike[1] - crossed[1], 2.0)
    robust = of(lambda a, b: a >= standard)
    return Contrast(jackknife(*alike), jackknife(*crossed), jackknife(*robust), gap)


def permuted(
    values: Vector, standard: int, blocks: Sequence[int] | None = None
) -> tuple[float, float]:
    """Return p of the gap, and the smallest that so many networks can have.

    The gap is the mean over pairs of the first ``standard`` networks less that over pairs of one of
    these and one of the others. If what the others were trained to did not matter, any of a block
    could have been the others, and each gap were as likely (Fisher 1935, section 21).

    Args:
        values: (M, M) symmetric, of pairs; NaN of those that do not count, as on the diagonal.
        standard: how many come first, two or more and fewer than M.
        blocks: (M,) numbers that tell which could have been each other; all could if None. Networks
            that began from the same weights could not have been ones that did not.
    """
    members = len(values)
    named = list(blocks) if blocks is not None else [0] * members
    parts = [
        (own, sum(place < standard for place in own))
        for block in dict.fromkeys(named)
        for own in [[place for place, each in enumerate(named) if each == block]]
    ]
    ways = math.prod(math.comb(len(own), number) for own, number in parts)

    def gap(chosen: Sequence[int]) -> float:
        inside = np.isin(np.arange(members), chosen)
        pairs = values[np.ix_(inside, inside)][np.triu_indices(standard, 1)]
        crossed = values[np.ix_(inside, ~inside)]
        if np.isnan(pairs).all() or np.isnan(crossed).all():
            return math.nan
        return float(np.nanmean(pairs) - np.nanmean(crossed))

    own = gap(range(standard))
    if math.isnan(own):
        return math.nan, math.nan
    gaps = [each for chosen in _choices(parts, ways) if not math.isnan(each := gap(chosen))]
    as_far = [abs(each) >= abs(own) - 1e-12 for each in gaps]
    if ways <= _MOST:
        return sum(as_far) / len(as_far), 1 / len(as_far)
    return (1 + sum(as_far)) / (1 + len(as_far)), 1 / (1 + len(as_far))


def _choices(parts: Sequence[tuple[Sequence[int], int]], ways: int) -> Iterator[list[int]]:
    """Give choices of so many of each block, all of them, or draws where these are too many."""
    if ways <= _MOST:
        for each in itertools.product(*(itertools.combinations(*part) for part in parts)):
            yield [place for chosen in each for place in chosen]
        return
    rng = np.random.default_rng(0)
    for _ in range(_MOST):
        drawn = [rng.permutation(own)[:number].tolist() for own, number in parts]
        yield [place for chosen in drawn for place in chosen]


def _blocks(members: int, between: Mapping[tuple[int, int], Pair]) -> list[int]:
    """Return the numbers of blocks: those that began from the same weights are one, and so are all
    that have a beginning of their own."""
    blocks = list(range(members))
    for (a, b), pair in between.items():
        if pair.one_beginning:
            old, new = max(blocks[a], blocks[b]), min(blocks[a], blocks[b])
            blocks = [new if each == old else each for each in blocks]
    return [each if blocks.count(each) > 1 else -1 for each in blocks]
