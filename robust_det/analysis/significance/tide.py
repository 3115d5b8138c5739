"""What kinds of errors cost a detector its AP: TIDE's main errors.

Bolya et al. 2020, *TIDE: A General Toolbox for Identifying Object Detection Errors*
(https://arxiv.org/abs/2008.08115), section 2; foreground from an IoU of 0.5, background to 0.1. The
numbers are those of the authors' ``tidecv`` 1.0.1 (tested against recorded ones). As there, the 100
best detections of an image count, over all classes, and a class with detections and no objects has
an AP of 0; so the AP50 that errors are counted from can lie below COCO's.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pycocotools import mask

from robust_det.analysis.significance.matching import load_coco
from robust_det.core.progress import progress_bar

__all__ = ["KINDS", "ErrorBreakdown", "error_breakdown"]

# in TIDE's order, with its short names
KINDS = {
    "Cls": "classification",
    "Loc": "localisation",
    "Both": "both",
    "Dupe": "duplicate",
    "Bkg": "background",
    "Miss": "missed",
}
_CLS, _LOC, _BOTH, _DUPE, _BKG, _MISS = range(len(KINDS))
_NO_ERROR = -1
_FOREGROUND, _BACKGROUND = 0.5, 0.1
_MOST = 100
_RECALLS = np.arange(101) / 100


@dataclass(frozen=True)
class ErrorBreakdown:
    """The errors of a run, by the keys of :data:`KINDS`.

    Attributes:
        ap50: TIDE's AP at an IoU of 0.5, in percent.
        counts: how many errors there are.
        gains: the AP50 that fixing the errors of one kind, and no other, would add, in percent.
    """

    ap50: float
    counts: Mapping[str, int]
    gains: Mapping[str, float]


@dataclass
class _Image:
    """One image's detections by falling score, and its objects that are no crowds."""

    category: NDArray[np.int64]
    score: NDArray[np.float64]
    objects: NDArray[np.int64]  # their categories
    kind: NDArray[np.int64]  # of error, by detection
    ignored: NDArray[np.bool_]  # on a crowd: no error by COCO's rules, but it can be mended
    mended: NDArray[np.int64]  # the category as which it hits once its error is fixed, or -1
    missed: NDArray[np.bool_]  # by object


def error_breakdown(
    document: Mapping[str, Any],
    detections: Sequence[Mapping[str, Any]],
    task: str,
    label: str = "errors",
) -> ErrorBreakdown:
    """Sort the errors of a run into kinds, and fix each kind alone.

    Args:
        document: COCO annotations.
        detections: in COCO's results format.
        task: ``"bbox"`` or ``"segm"``.
        label: of the progress bar.
    """
    coco = load_coco(document, detections, task)
    images = []
    with progress_bar(len(document["images"]), label, "image") as bar:
        for entry in document["images"]:
            images.append(_image(coco, entry["id"], task))
            bar.update()
    joined = _Image(*(np.concatenate([vars(i)[f] for i in images]) for f in vars(images[0])))
    counts = np.bincount(joined.kind[joined.kind >= 0], minlength=len(KINDS))
    counts[_MISS] = joined.missed.sum()
    base = _fixed(joined, None)
    gains = {name: max(_fixed(joined, kind) - base, 0.0) for kind, name in enumerate(KINDS)}
    return ErrorBreakdown(base, dict(zip(KINDS, counts.tolist(), strict=True)), gains)


def _image(coco: Any, image: Any, task: str) -> _Image:
    found = sorted(coco.cocoDt.imgToAnns.get(image, []), key=lambda d: -d["score"])[:_MOST]
    things = coco.cocoGt.imgToAnns.get(image, [])
    objects = [t for t in things if not t.get("iscrowd")]
    crowds = [t for t in things if t.get("iscrowd")]
    category = np.array([d["category_id"] for d in found], dtype=np.int64)
    of_object = np.array([t["category_id"] for t in objects], dtype=np.int64)
    regions = _regions(coco.cocoDt, found, task)
    overlap = _overlap(regions, _regions(coco.cocoGt, objects, task), crowd=False)
    hit, holder = _greedy(np.where(category[:, None] == of_object, overlap, 0.0))
    ignored = np.zeros(len(found), dtype=bool)
    if crowds:
        on_crowd = _overlap(regions, _regions(coco.cocoGt, crowds, task), crowd=True)
        of_crowd = np.array([t["category_id"] for t in crowds])
        alike = category[:, None] == of_crowd
        ignored = ~hit & ((on_crowd > _FOREGROUND) & alike).any(axis=1)
    kind, mends = _kinds(overlap, category[:, None] == of_object, hit, holder)
    # of several errors that would each find the same object, the best scored one does
    free = holder < 0
    mended = np.full(len(found), -1)
    usable = np.zeros(len(objects), dtype=bool)
    for number, target in enumerate(mends):
        if target >= 0 and free[target] and not usable[target]:
            usable[target] = True
            mended[number] = of_object[target]
    score = np.array([d["score"] for d in found], dtype=float)
    return _Image(category, score, of_object, kind, ignored, mended, free & ~usable)


def _regions(api: Any, entries: Sequence[Mapping[str, Any]], task: str) -> list[Any]:
    return [e["bbox"] if task == "bbox" else api.annToRLE(e) for e in entries]


def _overlap(found: list[Any], objects: list[Any], crowd: bool) -> NDArray[np.float64]:
    """IoU of shape (detections, objects); of crowds, the share of the detection inside."""
    if not found or not objects:
        return np.zeros((len(found), len(objects)))
    return np.asarray(mask.iou(found, objects, [crowd] * len(objects)))


def _greedy(overlap: NDArray[np.float64]) -> tuple[NDArray[np.bool_], NDArray[np.int64]]:
    """Let each detection take the free object it overlaps most.

    Returns:
        Whether each detection has one, and the detection of each object, or -1.
    """
    left = overlap.copy()
    hit, holder = np.zeros(left.shape[0], dtype=bool), np.full(left.shape[1], -1)
    if left.shape[1]:
        # others cannot get any: the rest of the detections is skipped
        for number in np.flatnonzero((left >= _FOREGROUND).any(axis=1)):
            best = left[number].argmax()
            if left[number, best] >= _FOREGROUND:
                hit[number], holder[best] = True, number
                left[:, best] = 0
    return hit, holder


def _kinds(
    overlap: NDArray[np.float64],
    alike: NDArray[np.bool_],
    hit: NDArray[np.bool_],
    holder: NDArray[np.int64],
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return each detection's kind of error, and the object it would find without it, or -1."""
    kind, target = np.full(len(hit), _BKG), np.full(len(hit), -1)
    if overlap.shape[1]:
        own, other = np.where(alike, overlap, 0), np.where(alike, 0, overlap)
        nearest = own.max(axis=1)
        rules = [
            (_LOC, (nearest >= _BACKGROUND) & (nearest <= _FOREGROUND)),
            (_CLS, other.max(axis=1) >= _FOREGROUND),
            (_DUPE, np.where(holder >= 0, own, 0).max(axis=1) >= _FOREGROUND),
            (_BKG, overlap.max(axis=1) <= _BACKGROUND),
        ]
        kind = np.select([rule for _, rule in rules], [name for name, _ in rules], _BOTH)
        target = np.where(kind == _LOC, own.argmax(axis=1), target)
        target = np.where(kind == _CLS, other.argmax(axis=1), target)
    kind[hit], target[hit] = _NO_ERROR, -1
    return kind, target


def _fixed(joined: _Image, kind: int | None) -> float:
    """Return the AP50, in percent, with the errors of one kind fixed, or none."""
    hit, category = joined.kind == _NO_ERROR, joined.category
    kept, objects = ~joined.ignored, joined.objects
    if kind == _MISS:
        objects = objects[~joined.missed]
    elif kind is not None:
        errors = joined.kind == kind
        mended = errors & (joined.mended >= 0)
        kept, hit = (kept & ~errors) | mended, hit | mended
        category = np.where(mended, joined.mended, category)
    names = np.union1d(objects, category[kept])
    if not len(names):
        return 0.0
    values = []
    for name in names:
        mine = np.flatnonzero(kept & (category == name))
        mine = mine[np.argsort(-joined.score[mine], kind="stable")]
        values.append(_ap(hit[mine], int((objects == name).sum())))
    return float(100 * np.mean(values))


def _ap(hit: NDArray[np.bool_], objects: int) -> float:
    if not objects or not len(hit):
        return 0.0
    found = np.cumsum(hit)
    precision = found / np.arange(1, len(hit) + 1)
    best = np.append(np.maximum.accumulate(precision[::-1])[::-1], 0.0)
    return float(best[np.searchsorted(found / objects, _RECALLS)].mean())
