"""Detections matched to objects image by image, once: all that any resample of images needs."""

from __future__ import annotations

import contextlib
import io
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from robust_det.core.progress import progress_bar

__all__ = ["AREAS", "THRESHOLDS", "ClassMatches", "Matches", "load_coco", "match"]

AREAS = ("all", "small", "medium", "large")
THRESHOLDS = np.linspace(0.5, 0.95, 10)  # of IoU; COCO's own
_MOST = 100  # detections of an image and class that count


@dataclass(frozen=True)
class ClassMatches:
    """The detections of one class by falling score, those of equal scores in order of the images.

    Attributes:
        name: of the class.
        image: which image each is of, as an index; int32 of shape (detections,).
        hit: whether it matches an object that counts; (areas, thresholds, detections).
        ignored: whether it counts neither for nor against, as it matches a crowd, or is out of
            the range of areas; the same shape.
        objects: by area, the images of the objects that count, one index an object.
    """

    name: str
    image: NDArray[np.int32]
    hit: NDArray[np.bool_]
    ignored: NDArray[np.bool_]
    objects: tuple[NDArray[np.int32], ...]


@dataclass(frozen=True)
class Matches:
    """All classes of a data set's detections.

    Attributes:
        images: ids in the order of the indices.
        classes: in the order of the category ids.
    """

    images: tuple[Any, ...]
    classes: tuple[ClassMatches, ...]


def load_coco(
    document: Mapping[str, Any], detections: Sequence[Mapping[str, Any]], task: str
) -> Any:
    """Return a :class:`pycocotools.cocoeval.COCOeval` of detections against their ground truth.

    Args:
        document: COCO annotations.
        detections: in COCO's results format.
        task: ``"bbox"`` or ``"segm"``.
    """
    # copies, as pycocotools adds fields; without boxes the areas are those of the masks, which is
    # how Detectron2 tells small masks from large ones
    dropped = "bbox" if task == "segm" else "segmentation"
    results = [{k: v for k, v in d.items() if k != dropped} for d in detections]
    with contextlib.redirect_stdout(io.StringIO()):
        truth = COCO()
        truth.dataset = {**document, "annotations": [dict(a) for a in document["annotations"]]}
        truth.createIndex()
        # it cannot load an empty list
        found = truth.loadRes(results) if results else COCO()
        return COCOeval(truth, found, task)


def match(
    document: Mapping[str, Any],
    detections: Sequence[Mapping[str, Any]],
    task: str,
    label: str = "match",
) -> Matches:
    """Match detections as COCO does: greedily by score, within an image and a class.

    The matching is pycocotools' own, called where an image has both objects and detections of a
    class; a detection without objects misses whatever the threshold.

    Args:
        document, detections, task: see :func:`load_coco`.
        label: of the progress bar.
    """
    evaluation = load_coco(document, detections, task)
    evaluation._prepare()
    found: dict[Any, list[Any]] = defaultdict(list)
    objects: dict[Any, list[Any]] = defaultdict(list)
    for key, entries in evaluation._dts.items():
        found[key[1]] += [key[0]] if entries else []
    for key, entries in evaluation._gts.items():
        objects[key[1]] += [key[0]] if entries else []
    images = tuple(sorted(evaluation.params.imgIds))
    index = {image: number for number, image in enumerate(images)}
    names = {c["id"]: str(c["name"]) for c in document["categories"]}
    classes = []
    with progress_bar(len(names), label, "class") as bar:
        for category in sorted(names):
            pairs = [(image, category) for image in sorted(found[category])]
            parts = [_pair(evaluation, pair, index[pair[0]]) for pair in pairs]
            mine = [
                (index[image], thing)
                for image in sorted(objects[category])
                for thing in evaluation._gts[image, category]
            ]
            classes.append(_class(names[category], parts, mine, evaluation.params.areaRng))
            bar.update()
    return Matches(images, tuple(classes))


_Part = tuple[NDArray[np.float64], NDArray[np.int32], NDArray[np.bool_], NDArray[np.bool_]]


def _pair(evaluation: Any, pair: tuple[Any, Any], index: int) -> _Part:
    """Scores, image, hits and ignored flags of the detections of one class in one image."""
    ranges = evaluation.params.areaRng
    if evaluation._gts[pair]:
        evaluation.ious[pair] = evaluation.computeIoU(*pair)
        per_area = [evaluation.evaluateImg(*pair, area, _MOST) for area in ranges]
        scores = np.array(per_area[0]["dtScores"], dtype=float)
        ignored = np.stack([np.asarray(e["dtIgnore"], dtype=bool) for e in per_area])
        hit = np.stack([e["dtMatches"] > 0 for e in per_area]) & ~ignored
    else:
        entries = sorted(evaluation._dts[pair], key=lambda d: -d["score"])[:_MOST]
        scores = np.array([d["score"] for d in entries], dtype=float)
        sizes = np.array([d["area"] for d in entries], dtype=float)
        out = np.stack([(sizes < low) | (sizes > high) for low, high in ranges])
        ignored = np.repeat(out[:, None], len(THRESHOLDS), axis=1)
        hit = np.zeros_like(ignored)
    return scores, np.full(len(scores), index, np.int32), hit, ignored


def _class(
    name: str,
    parts: Sequence[_Part],
    objects: Sequence[tuple[int, Mapping[str, Any]]],
    ranges: Sequence[tuple[float, float]],
) -> ClassMatches:
    shape = (len(AREAS), len(THRESHOLDS), 0)
    scores = np.concatenate([np.empty(0), *(p[0] for p in parts)])
    order = np.argsort(-scores, kind="stable")
    return ClassMatches(
        name,
        np.concatenate([np.empty(0, np.int32), *(p[1] for p in parts)])[order],
        np.concatenate([np.empty(shape, bool), *(p[2] for p in parts)], axis=2)[..., order],
        np.concatenate([np.empty(shape, bool), *(p[3] for p in parts)], axis=2)[..., order],
        tuple(
            np.array(
                [i for i, thing in objects if not thing["ignore"] and low <= thing["area"] <= high],
                dtype=np.int32,
            )
            for low, high in ranges
        ),
    )
