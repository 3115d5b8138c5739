"""Which images of a test set are shown: over its classes, where backbones disagree most."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from robust_det.analysis.gallery.scenes import Findings, Scenes

__all__ = ["HOW_CHOSEN", "Chosen", "choose", "disagreements"]

HOW_CHOSEN = (
    "Images are chosen from the whole test set, a class at a time, those that the backbones"
    " disagree most on first: for each class the image with the most disagreement in it."
    " Disagreement is"
    " the number of objects that one backbone finds and another does not, and the difference in"
    " their false detections; over several seeds, of the shares and means."
)


@dataclass(frozen=True)
class Chosen:
    """An image, with the class that it was chosen for and the disagreement in that class."""

    image: int
    category: int
    disagreement: float


def disagreements(scenes: Scenes) -> dict[tuple[int, int], float]:
    """Return how far backbones disagree, by image and class; 0 where all find the same.

    Of an object it is the largest difference between two backbones of the share of their seeds that
    found it; of false detections that of their mean number. An image has an entry for each class
    that it shows an object of, or in which anything was found falsely.
    """
    backbones: dict[int, list[Findings]] = defaultdict(list)
    for one in scenes.runs:
        backbones[id(one.row)].append(one)
    out: dict[tuple[int, int], float] = {}
    for image in scenes.images:
        objects = scenes.objects.get(image, ())
        classes = [int(thing["category_id"]) for thing in objects]
        found = _spread(
            [_mean([_found(r, image, len(objects)) for r in b]) for b in backbones.values()]
        )
        for category, thing, value in zip(classes, objects, found, strict=True):
            if not thing.get("iscrowd"):
                out[image, category] = out.get((image, category), 0.0) + value
        false = [[_false(run, image) for run in runs] for runs in backbones.values()]
        for category in sorted({c for runs in false for one in runs for c in one}):
            means = [
                np.mean([one.get(category, 0) for one in runs], keepdims=True) for runs in false
            ]
            out[image, category] = out.get((image, category), 0.0) + _spread(means)[0]
    return {key: float(value) for key, value in out.items()}


def _found(run: Findings, image: int, objects: int) -> NDArray[np.float64]:
    hits = run.hits.get(image)
    return np.zeros(objects) if hits is None else hits.found.astype(np.float64)


def _false(run: Findings, image: int) -> Mapping[int, int]:
    out: dict[int, int] = defaultdict(int)
    if image in run.hits:
        for entry, false in zip(run.detections.get(image, ()), run.hits[image].false, strict=True):
            out[int(entry["category_id"])] += bool(false)
    return {category: number for category, number in out.items() if number}


def _mean(several: Sequence[NDArray[np.float64]]) -> NDArray[np.float64]:
    return np.mean(several, axis=0)


def _spread(several: Sequence[NDArray[np.float64]]) -> NDArray[np.float64]:
    return np.max(several, axis=0) - np.min(several, axis=0)


def choose(
    disagreement: Mapping[tuple[int, int], float], objects: Mapping[int, int], count: int
) -> list[Chosen]:
    """Choose images; the same ones for the same numbers.

    Classes take turns, those with the most disagreement over all images first. Among images that
    disagree alike in a class, the one with fewer objects is taken, which is easily looked at.

    Args:
        disagreement: see :func:`disagreements`.
        objects: how many an image has.
        count: how many images at most.
    """
    by_class: dict[int, list[Chosen]] = defaultdict(list)
    for (image, category), value in disagreement.items():
        by_class[category].append(Chosen(image, category, value))
    for of_class in by_class.values():
        of_class.sort(key=lambda c: (-c.disagreement, objects.get(c.image, 0), c.image))
    totals = {c: sum(one.disagreement for one in found) for c, found in by_class.items()}
    order = sorted(by_class, key=lambda c: (-totals[c], c))
    chosen: dict[int, Chosen] = {}
    while len(chosen) < count and any(by_class.values()):
        for category in order:
            left = [one for one in by_class[category] if one.image not in chosen]
            by_class[category] = left[1:]
            if left and len(chosen) < count:
                chosen[left[0].image] = left[0]
    return list(chosen.values())
