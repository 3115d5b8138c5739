"""Data sets as Detectron2's dataset dictionaries, each made when it is asked for."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import Any, overload

import numpy as np
from detectron2.structures import BoxMode

from robust_det.data.detection.packed_images import PackedImages
from robust_det.data.detection.prepared import Prepared
from robust_det.detection.datasets.class_matching import places_among

__all__ = ["DatasetDicts", "wide_images"]

# what Detectron2 takes over of an annotation as it is
_KEPT = ("iscrowd", "bbox", "keypoints", "category_id")


class DatasetDicts(Sequence[dict[str, Any]]):
    """The images of prepared data sets, one after the other, as ``load_coco_json`` gives them.

    Each reading makes a dictionary anew, so that it may be changed.

    Args:
        prepared: the data sets; none of Detectron2's VOC. ``category_id`` is a class's place among
            those of the first one, whose names the others have in any order.
        filter_empty: leave out images that show nothing to learn, as Detectron2 does in training.
    """

    def __init__(self, prepared: Sequence[Prepared], filter_empty: bool = False) -> None:
        self._prepared = prepared
        # by category id: its place among the first one's classes, whose names the others share
        classes = [str(c["name"]) for c in prepared[0].categories]
        self._places = [_places(p, classes) for p in prepared]
        self._classes = len(classes)
        images = [_images(p) for p in prepared]
        # of each image: its data set, and its number there
        where = [np.stack([np.full(len(s), n), np.arange(len(s))], 1) for n, s in enumerate(images)]
        kept = np.concatenate([s.learnable > 0 for s in images])
        if not filter_empty:
            kept[:] = True
        self._where = np.concatenate(where)[kept]
        self.wide = np.concatenate([s.wide for s in images])[kept]

    def __len__(self) -> int:
        return len(self._where)

    @overload
    def __getitem__(self, index: int) -> dict[str, Any]: ...

    @overload
    def __getitem__(self, index: slice) -> list[dict[str, Any]]: ...

    def __getitem__(self, index: int | slice) -> dict[str, Any] | list[dict[str, Any]]:
        if isinstance(index, slice):
            return [self[number] for number in range(len(self))[index]]
        part, number = self._where[index]
        return _dataset_dict(self._prepared[part], int(number), self._places[part])

    def objects_of_class(self) -> list[int]:
        """Return how many objects there are to learn of each class, in the order of the classes."""
        counts = [0] * self._classes
        for prepared, places in zip(self._prepared, self._places, strict=True):
            for number, count in _images(prepared).of_class.items():
                counts[places[number]] += count
        return counts


def wide_images(images: Sequence[Mapping[str, Any]]) -> Sequence[bool]:
    """Return whether each image is wider than high."""
    if isinstance(images, DatasetDicts):
        return images.wide.tolist()
    return [image["width"] > image["height"] for image in images]


def _images(prepared: Prepared) -> PackedImages:
    assert prepared.images is not None
    return prepared.images


def _places(prepared: Prepared, classes: Sequence[str]) -> dict[int, int]:
    names = [str(c["name"]) for c in prepared.categories]
    found = places_among(names, classes)
    return {c["id"]: place for c, place in zip(prepared.categories, found, strict=True)}


def _dataset_dict(prepared: Prepared, number: int, places: Mapping[int, int]) -> dict[str, Any]:
    image, objects, segments = _images(prepared)[number]
    record = {
        "file_name": os.path.join(prepared.image_root, image["file_name"]),
        "height": image["height"],
        "width": image["width"],
        "image_id": image["id"],
    }
    if prepared.categories:  # which stuff alone has not
        known = (_annotation(a, places) for a in objects)
        record["annotations"] = [a for a in known if a is not None]
    if segments is not None and prepared.panoptic is not None:
        file = os.path.join(prepared.panoptic.map_root, segments["file_name"])
        record["sem_seg_file_name"] = file
    return record


def _annotation(entry: Mapping[str, Any], places: Mapping[int, int]) -> dict[str, Any] | None:
    """Return Detectron2's form of an annotation; None if no polygon of its mask has an area."""
    made = {key: entry[key] for key in _KEPT if key in entry}
    if outline := entry.get("segmentation"):
        if not isinstance(outline, Mapping):
            outline = [p for p in outline if len(p) % 2 == 0 and len(p) >= 6]
            if not outline:
                return None
        made["segmentation"] = outline
    if points := entry.get("keypoints"):
        # COCO's are the numbers of pixels, Detectron2's the places of their middles
        made["keypoints"] = [v if n % 3 == 2 else v + 0.5 for n, v in enumerate(points)]
    made["bbox_mode"] = BoxMode.XYWH_ABS
    made["category_id"] = places[entry["category_id"]]
    return made
