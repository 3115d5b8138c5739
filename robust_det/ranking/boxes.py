"""The boxes of a detection set that features are taken of: objects, and background."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from robust_det.core.errors import UserError, counted
from robust_det.core.files import sha256_file
from robust_det.data.detection.dataset_facts import DatasetFacts
from robust_det.data.detection.handover import prepare
from robust_det.data.detection.prepared import Prepared
from robust_det.data.detection.source import Source
from robust_det.detection.datasets.class_matching import check_training_classes
from robust_det.detection.datasets.dicts import DatasetDicts
from robust_det.ranking.background import background_boxes
from robust_det.ranking.task import MEAN_PER_CLASS, Task

__all__ = ["BACKGROUND", "BoxImage", "BoxSet", "read_boxes"]

BACKGROUND = "background"
_MOST = 100  # objects of an image; of more, which are much alike, a draw


@dataclass(frozen=True)
class BoxImage:
    """An image with boxes.

    Attributes:
        file: its path.
        width, height: in pixels.
        boxes: (n, 4) corners x0, y0, x1, y1 in pixels.
        labels: (n,) places among the classes.
    """

    file: str
    width: int
    height: int
    boxes: NDArray[np.float64]
    labels: NDArray[np.int64]


@dataclass(frozen=True)
class BoxSet:
    """A detection set, or a draw of its images.

    Attributes:
        images: those with a box at least, in the order of the set.
        classes: of the boxes; the last is :data:`BACKGROUND`, if there is room for any.
        facts: of the data sets that it comes from.
        notes: what was left out, a sentence each.
    """

    images: tuple[BoxImage, ...]
    classes: tuple[str, ...]
    facts: tuple[DatasetFacts, ...]
    notes: tuple[str, ...]

    @property
    def task(self) -> Task:
        """Return what features of the boxes, one image after the other, are to tell."""
        counts = torch.tensor([len(image.labels) for image in self.images])
        labels = torch.from_numpy(np.concatenate([image.labels for image in self.images]))
        groups = torch.arange(len(counts)).repeat_interleave(counts)
        return Task("boxes", labels, groups, self.classes, MEAN_PER_CLASS)

    @property
    def digest(self) -> str:
        """Return a SHA-256 of the images' files, and of the boxes in them."""
        digest = hashlib.sha256(repr(self.classes).encode())
        for image in self.images:
            digest.update(sha256_file(image.file).encode())
            digest.update(image.boxes.tobytes() + image.labels.tobytes())
        return digest.hexdigest()


def read_boxes(
    sources: Mapping[str, Source], *, images: int, seed: int, lenient: bool = False
) -> BoxSet:
    """Read the objects of data sets, and draw as many boxes of background.

    Crowds are no objects, and background does not touch them. A class whose boxes are all in one
    image is left out: without that image nothing would be known of it.

    Args:
        sources: by name; of several, the classes of the first.
        images: how many images with objects to take, by a draw; all if there are no more.
        seed: of the draws.
        lenient: leave out or mend what is unsound, and say so, instead of refusing the data set.

    Raises:
        UserError: the data are unsound, sets have other classes, or there is nothing to compare.
    """
    prepared = [_prepared(name, source, lenient) for name, source in sources.items()]
    facts = tuple(each.facts for each in prepared)
    for other in facts[1:]:
        both = f"data sets '{facts[0].name}' and '{other.name}'"
        check_training_classes(both, facts[0].classes, other.name, other.classes)
    records = DatasetDicts(prepared, filter_empty=True)
    names = ", ".join(f"'{each.name}'" for each in facts)
    if not records:
        raise UserError(
            f"data set {names} has no boxes of objects, from which features could be taken",
            "give annotations; crowds (iscrowd 1) do not count",
        )
    rng = np.random.default_rng(seed)
    notes = []
    chosen: Sequence[int] = range(len(records))
    if images < len(records):
        chosen = sorted(rng.permutation(len(records))[:images].tolist())
        notes.append(
            f"{images:,} of {len(records):,} images with objects were drawn, by seed {seed};"
            " --images takes more."
        )
    found = _with_background([records[index] for index in chosen], len(facts[0].classes), rng)
    return _counted(found, (*facts[0].classes, BACKGROUND), facts, notes, names)


def _prepared(name: str, source: Source, lenient: bool) -> Prepared:
    try:
        prepared = prepare(name, source, lenient)
    except UserError as error:
        if lenient or "DATASETS.LENIENT" not in str(error):
            raise
        raise UserError(str(error), "--lenient does that here") from error
    if prepared.images is None:
        raise UserError(
            f"data set '{name}' is read by Detectron2 itself; name its folder as VOC in"
            " DATASETS.CUSTOM, or give it as --data"
        )
    if not prepared.categories:
        raise UserError(f"data set '{name}' has stuff alone, and no boxes; give one of objects")
    return prepared


def _with_background(
    records: Sequence[Mapping[str, Any]], background: int, rng: np.random.Generator
) -> list[BoxImage]:
    """Return the images with their objects and boxes of background, whose label is given."""
    objects = [_objects(record, rng) for record in records]
    sides = [np.array([record["width"], record["height"]], float) for record in records]
    shares = np.concatenate(
        [
            (boxes[:, 2:] - boxes[:, :2]) / size
            for (boxes, _, _), size in zip(objects, sides, strict=True)
        ]
    )
    found = []
    for record, (boxes, labels, crowds) in zip(records, objects, strict=True):
        size = (record["width"], record["height"])
        every = np.array([_corners(a) for a in record["annotations"]]).reshape(-1, 4)
        free = background_boxes(size, len(boxes), shares, every, crowds, rng)
        found.append(
            BoxImage(
                record["file_name"],
                *size,
                np.concatenate([boxes, free]),
                np.concatenate([labels, np.full(len(free), background)]),
            )
        )
    return found


def _objects(
    record: Mapping[str, Any], rng: np.random.Generator
) -> tuple[NDArray[np.float64], NDArray[np.int64], NDArray[np.float64]]:
    """Return boxes (n, 4) and labels (n,) of an image's objects, and the boxes of its crowds."""
    single = [a for a in record["annotations"] if not a.get("iscrowd")]
    crowds = [_corners(a) for a in record["annotations"] if a.get("iscrowd")]
    if len(single) > _MOST:
        single = [single[index] for index in sorted(rng.permutation(len(single))[:_MOST])]
    return (
        np.array([_corners(a) for a in single]).reshape(-1, 4),
        np.array([a["category_id"] for a in single], np.int64),
        np.array(crowds, np.float64).reshape(-1, 4),
    )


def _corners(annotation: Mapping[str, Any]) -> list[float]:
    x, y, width, height = annotation["bbox"]
    return [x, y, x + width, y + height]


def _counted(
    images: Sequence[BoxImage],
    classes: Sequence[str],
    facts: tuple[DatasetFacts, ...],
    notes: list[str],
    names: str,
) -> BoxSet:
    """Leave out the classes that are not in two images at least, and number the others."""
    there = np.array([np.bincount(i.labels, minlength=len(classes)) > 0 for i in images]).sum(0)
    kept = np.flatnonzero(there >= 2)
    rare = [name for name, count in zip(classes[:-1], there, strict=False) if count == 1]
    if rare:
        notes.append(
            f"{counted(len(rare), 'class', 'es')} with boxes in a single image, such as"
            f" '{rare[0]}', {'was' if len(rare) == 1 else 'were'} left out."
        )
    if there[-1] < 2:
        notes.append("There is no background: objects leave no room for boxes beside them.")
    if len(kept) < 2:
        raise UserError(
            f"data set {names} has {counted(len(kept), 'class', 'es')}, background among them, with"
            " boxes in two images or more, and nothing tells backbones apart",
            "give more annotated images",
        )
    places = np.full(len(classes), -1)
    places[kept] = np.arange(len(kept))
    left = []
    for image in images:
        labels = places[image.labels]
        if (labels >= 0).any():
            boxes, labels = image.boxes[labels >= 0], labels[labels >= 0]
            left.append(BoxImage(image.file, image.width, image.height, boxes, labels))
    return BoxSet(tuple(left), tuple(classes[k] for k in kept.tolist()), facts, tuple(notes))
