"""Heat maps of the stages of pairs of backbones, and of means over pairs of a kind."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from robust_det.core.errors import counted
from robust_det.representations.heat_maps import HeatMap, HeatMaps
from robust_det.representations.pairs import Pair
from robust_det.representations.trainings import STANDARD

__all__ = ["MOST_MAPS", "heat_maps"]

MOST_MAPS = 12  # in a picture


def heat_maps(name: str, pairs: Sequence[Pair]) -> list[HeatMaps]:
    """Return means over pairs of a kind, where there are any, and each pair, if these are few.

    Args:
        name: that their files' begin with.
        pairs: at least one.
    """
    scale = "debiased linear CKA"
    maps = []
    kinds = _kinds(pairs)
    if len(kinds) < len(pairs):
        title = "Stages of backbones, means over pairs of a kind"
        panels = [_mean_map(kind, own) for kind, own in kinds.items()][:MOST_MAPS]
        maps.append(HeatMaps(f"{name}_kinds", title, scale, tuple(panels)))
    if len(pairs) <= MOST_MAPS or not maps:
        panels = [_map(pair) for pair in pairs[:MOST_MAPS]]
        maps.append(HeatMaps(f"{name}_pairs", "Stages of two backbones each", scale, tuple(panels)))
    return maps


_End = tuple[str, str]  # architecture and training


def _ends(pair: Pair) -> tuple[_End, _End]:
    first, second = pair.trainings
    return (pair.first.model.arch, first), (pair.second.model.arch, second)


def _turned(pair: Pair) -> bool:
    """Whether the second comes first where kinds are told: standard ones do."""
    one, other = (((name != STANDARD), arch, name) for arch, name in _ends(pair))
    return other < one


def _kinds(pairs: Sequence[Pair]) -> Mapping[tuple[_End, _End, bool], list[Pair]]:
    """Return pairs by architectures, trainings and whether they have one beginning."""
    kinds: dict[tuple[_End, _End, bool], list[Pair]] = {}
    for pair in pairs:
        one, other = _ends(pair)[:: -1 if _turned(pair) else 1]
        kinds.setdefault((one, other, pair.one_beginning), []).append(pair)
    return kinds


def _values(pair: Pair) -> NDArray[np.float64]:
    return np.array(
        [[pair.cells[row, each].figure.value for each in pair.columns] for row in pair.rows]
    )


def _mean_map(kind: tuple[_End, _End, bool], pairs: Sequence[Pair]) -> HeatMap:
    one, other, one_beginning = kind
    values = np.mean([_values(p).T if _turned(p) else _values(p) for p in pairs], 0)
    rows, columns = pairs[0].rows, pairs[0].columns
    if _turned(pairs[0]):
        rows, columns = columns, rows
    if one == other:  # neither is the first
        values = (values + values.T) / 2
    named = one[0] != other[0]
    y, x = (f"{training}, {arch}" if named else training for arch, training in (one, other))
    number = counted(len(pairs), "pair") + (", one beginning" if one_beginning else "")
    title = f"{y}\nand {x}, {number}" if named else f"{y} and {x}\n{number}"
    return _panel(title, y, x, rows, columns, values)


def _map(pair: Pair) -> HeatMap:
    title = " and ".join(pair.trainings) + ("\none beginning" if pair.one_beginning else "")
    first, second = pair.first.name, pair.second.name
    return _panel(title, first, second, pair.rows, pair.columns, _values(pair))


def _panel(
    title: str,
    y: str,
    x: str,
    rows: Sequence[str],
    columns: Sequence[str],
    values: NDArray[np.float64],
) -> HeatMap:
    shown = tuple(tuple(map(float, row)) for row in values)
    return HeatMap(title, y, x, tuple(rows), tuple(columns), shown)
