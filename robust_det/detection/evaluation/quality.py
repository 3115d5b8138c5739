"""Panoptic quality (Kirillov et al. 2019, "Panoptic Segmentation", section 4).

The figures are those of COCO's ``panopticapi``, which no package index has.
"""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from robust_det.data.detection.segments import VOID

__all__ = ["Tally", "merged", "panoptic_quality", "tally_image"]

_MATCH = 0.5  # an IoU above it makes a match; no segment can have two


@dataclass
class Tally:
    """What was found of one category.

    Attributes:
        iou: sum over the matches.
        matched, wrong, missed: segments: true and false positives, false negatives.
    """

    iou: float = 0.0
    matched: int = 0
    wrong: int = 0
    missed: int = 0


def tally_image(
    truth: NDArray[np.int32],
    true_segments: Sequence[Mapping[str, Any]],
    found: NDArray[np.int32],
    found_segments: Sequence[Mapping[str, Any]],
) -> dict[int, Tally]:
    """Match the segments of an image; return a tally for each category in it.

    Void pixels of the ground truth count nowhere, and crowds are neither matched nor missed. A
    segment that lies by more than half in void, or in crowds of its category, is not wrong.

    Args:
        truth, found: the ids of the segments, (H, W); 0 is void.
        true_segments: ``id``, ``category_id`` and ``iscrowd`` of each.
        found_segments: ``id`` and ``category_id`` of each.
    """
    shared = _shared_pixels(truth, found)
    true_area: Counter[int] = Counter()
    found_area: Counter[int] = Counter()
    for (true_id, found_id), pixels in shared.items():
        true_area[true_id] += pixels
        found_area[found_id] += pixels
    tallies: dict[int, Tally] = defaultdict(Tally)
    crowds: dict[int, list[int]] = defaultdict(list)
    by_category: dict[int, list[int]] = defaultdict(list)
    for segment in found_segments:
        by_category[segment["category_id"]].append(segment["id"])
    matched = set()
    for segment in true_segments:
        true_id, category = segment["id"], segment["category_id"]
        if segment["iscrowd"]:
            crowds[category].append(true_id)
            continue
        for found_id in by_category[category]:
            both = shared[true_id, found_id]
            union = true_area[true_id] + found_area[found_id] - both - shared[VOID, found_id]
            if both > _MATCH * union:
                tallies[category].matched += 1
                tallies[category].iou += both / union
                matched.add(found_id)
                break
        else:
            tallies[category].missed += 1
    for segment in found_segments:
        found_id, category = segment["id"], segment["category_id"]
        if found_id not in matched:
            excused = sum(shared[other, found_id] for other in (VOID, *crowds[category]))
            tallies[category].wrong += 2 * excused <= found_area[found_id]
    return dict(tallies)


def _shared_pixels(first: NDArray[Any], second: NDArray[Any]) -> Counter[tuple[int, int]]:
    """Return how many pixels each pair of ids shares."""
    base = int(second.max()) + 1
    pairs, counts = np.unique(first.astype(np.int64) * base + second, return_counts=True)
    both = zip(*(numbers.tolist() for numbers in divmod(pairs, base)), strict=True)
    return Counter(dict(zip(both, counts.tolist(), strict=True)))


def merged(tallies: Iterable[Mapping[int, Tally]]) -> dict[int, Tally]:
    """Return the sums by category."""
    out: dict[int, Tally] = defaultdict(Tally)
    for one in tallies:
        for category, tally in one.items():
            total = out[category]
            total.iou += tally.iou
            total.matched += tally.matched
            total.wrong += tally.wrong
            total.missed += tally.missed
    return dict(out)


def panoptic_quality(
    tallies: Mapping[int, Tally], things: Mapping[int, str], stuff: Mapping[int, str]
) -> dict[str, float]:
    """Return the figures, in percent; NaN without a segment.

    Args:
        tallies: by category.
        things, stuff: the name of each category.

    Returns:
        ``PQ``, ``SQ`` and ``RQ``, means over the categories that were there or were found; the
        same with ``_th`` for things and ``_st`` for stuff; and ``PQ-NAME`` of each category.
    """
    figures: dict[str, float] = {}
    by_category = {
        category: _qualities(tallies.get(category, Tally())) for category in (*things, *stuff)
    }
    for suffix, categories in (("", (*things, *stuff)), ("_th", things), ("_st", stuff)):
        seen = [q for c in categories if not math.isnan((q := by_category[c])[0])]
        means = [sum(column) / len(seen) for column in zip(*seen, strict=True)] or [math.nan] * 3
        figures.update(zip((f"PQ{suffix}", f"SQ{suffix}", f"RQ{suffix}"), means, strict=True))
    for category, name in {**things, **stuff}.items():
        figures[f"PQ-{name}"] = by_category[category][0]
    return figures


def _qualities(tally: Tally) -> tuple[float, float, float]:
    """Return PQ, SQ and RQ of one category, in percent."""
    segments = tally.matched + (tally.wrong + tally.missed) / 2
    if not segments:
        return math.nan, math.nan, math.nan
    segmentation = tally.iou / tally.matched if tally.matched else 0.0
    return 100 * tally.iou / segments, 100 * segmentation, 100 * tally.matched / segments
