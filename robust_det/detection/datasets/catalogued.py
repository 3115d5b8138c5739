"""Data sets of users in Detectron2's catalog: functions that return dictionaries."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from detectron2.data.catalog import Metadata
from detectron2.structures import BoxMode
from detectron2.structures.masks import polygon_area
from pycocotools import mask as mask_util

from robust_det.core.errors import UserError, reason_of
from robust_det.data.detection.canonical.runs import compressed_runs
from robust_det.data.detection.checking.checks import check_document
from robust_det.data.detection.checking.images import Depth
from robust_det.data.detection.checking.report import Report
from robust_det.data.detection.checking.terms import EVERYTHING, Terms
from robust_det.data.detection.source import Reading

__all__ = ["CataloguedSource", "catalogued"]

_SUPPORTED = (BoxMode.XYXY_ABS, BoxMode.XYWH_ABS)


@dataclass(frozen=True)
class CataloguedSource:
    """What a function of Detectron2's catalog returned. Equal content is an equal source.

    Attributes:
        image_root: a folder that all images are below.
        sha256: of the document.
        document: images, objects and classes in COCO format, as far as they can be put so.
        terms: what the run wants.
    """

    image_root: str
    sha256: str
    document: Mapping[str, Any] = field(compare=False, repr=False)
    terms: Terms = EVERYTHING

    def read(self, name: str, depth: Depth | None = None) -> Reading:
        """See :class:`.Source`. Headers of images are read unless asked otherwise."""
        report = Report(name)
        depth = Depth.HEADERS if depth is None else depth
        images = check_document(self.document, self.image_root, report, depth, self.terms)
        categories = self.document["categories"]
        return Reading(images, categories, self.image_root, report, own_ids=True)


def catalogued(name: str, function: Callable[[], Any], metadata: Metadata) -> CataloguedSource:
    """Call a function of the catalog, and put what it returns in COCO format.

    Its form is that of Detectron2's tutorial on own data sets: ``file_name``, ``height``, ``width``
    and ``annotations``, these with ``bbox``, ``bbox_mode`` and ``category_id``, and perhaps
    ``segmentation``, ``keypoints`` and ``iscrowd``. Images without an ``image_id`` are numbered.

    Args:
        name: of the data set.
        function: as registered.
        metadata: of the same name: ``thing_classes``, and perhaps the ids that these have in
            ``thing_dataset_id_to_contiguous_id``; without, they are 1, 2, ...

    Raises:
        UserError: the function fails, or what it returns cannot be put so.
    """
    categories = _categories(name, metadata)
    try:
        records = function()
    except Exception as error:  # it is the user's
        raise UserError(
            f"the function registered for data set '{name}' fails"
            f" ({type(error).__name__}: {reason_of(error)})"
        ) from error
    if not isinstance(records, Sequence) or not all(isinstance(r, Mapping) for r in records):
        raise UserError(
            f"the function registered for data set '{name}' returns no list of dictionaries, which"
            " Detectron2 needs"
        )
    root = _common_folder(records)
    numbered = not any("image_id" in record for record in records)
    images: list[dict[str, Any]] = []
    annotations: list[dict[str, Any]] = []
    for number, record in enumerate(records):
        image = {k: _plain(record[k]) for k in ("file_name", "height", "width") if k in record}
        if isinstance(image.get("file_name"), str) and root:
            image["file_name"] = os.path.relpath(os.path.abspath(image["file_name"]), root)
        image["id"] = number if numbered else _plain(record.get("image_id"))
        images.append(image)
        for entry in record.get("annotations") or ():
            place = f"an object of {record.get('file_name')} in data set '{name}'"
            made = _annotation(entry, [c["id"] for c in categories], place)
            annotations.append({"id": len(annotations) + 1, "image_id": image["id"], **made})
    document = {"images": images, "annotations": annotations, "categories": categories}
    text = json.dumps(document, separators=(",", ":"))
    return CataloguedSource(root, hashlib.sha256(text.encode()).hexdigest(), document)


def _categories(name: str, metadata: Metadata) -> list[dict[str, Any]]:
    classes = metadata.get("thing_classes")
    if not classes:
        raise UserError(
            f"data set '{name}' does not name its classes; set"
            f" MetadataCatalog.get('{name}').thing_classes in the order of category_id"
        )
    places = metadata.get("thing_dataset_id_to_contiguous_id")
    if not places:
        return [{"id": n, "name": str(label)} for n, label in enumerate(classes, 1)]
    if sorted(places.values()) != list(range(len(classes))):
        raise UserError(
            f"thing_dataset_id_to_contiguous_id of data set '{name}' does not give each of its"
            f" {len(classes)} thing_classes one id; leave it out, or mend it"
        )
    ids = {place: int(number) for number, place in places.items()}
    return [{"id": ids[n], "name": str(label)} for n, label in enumerate(classes)]


def _common_folder(records: Sequence[Mapping[str, Any]]) -> str:
    names = {
        str(r["file_name"]) for r in records if isinstance(r.get("file_name"), (str, os.PathLike))
    }
    folders = {os.path.dirname(os.path.abspath(file)) for file in names}
    return os.path.commonpath(folders) if folders else ""


def _annotation(entry: Any, ids: Sequence[int], which: str) -> dict[str, Any]:
    """Return a COCO annotation, without its id and that of its image."""
    if not isinstance(entry, Mapping):
        raise UserError(f"{which} is no dictionary: {entry!r}")
    made: dict[str, Any] = {"iscrowd": _plain(entry.get("iscrowd", 0))}
    place = _plain(entry.get("category_id"))
    listed = type(place) is int and 0 <= place < len(ids)
    # what is no place among the classes may not be taken for the id of one
    made["category_id"] = ids[place] if listed else f"category_id {place}"
    if "bbox" in entry:
        made["bbox"] = _box(entry, which)
    if "segmentation" in entry:
        outline = entry["segmentation"]
        if isinstance(outline, (np.ndarray, torch.Tensor)):
            raise UserError(
                f"{which} has an array for its segmentation; give polygons, or run lengths as"
                " pycocotools.mask.encode makes them"
            )
        made["segmentation"] = _plain(outline)
    if entry.get("keypoints") is not None:
        points = [v for v in _plain(np.asarray(entry["keypoints"], dtype=float).ravel())]
        # Detectron2's are places in the image, COCO's the numbers of pixels
        made["keypoints"] = [v if n % 3 == 2 else v - 0.5 for n, v in enumerate(points)]
        made["num_keypoints"] = sum(v > 0 for v in points[2::3])
    if (area := _area(made)) is not None:
        made["area"] = area
    return made


def _box(entry: Mapping[str, Any], which: str) -> Any:
    """Return ``[x, y, width, height]``; what is no box as it is, for the checks."""
    try:
        mode = BoxMode(entry["bbox_mode"])
    except (KeyError, ValueError) as error:
        given = f"the bbox_mode {entry['bbox_mode']}" if "bbox_mode" in entry else "no bbox_mode"
        raise UserError(
            f"{which} has {given}; give BoxMode.XYXY_ABS or BoxMode.XYWH_ABS"
        ) from error
    if mode not in _SUPPORTED:
        raise UserError(
            f"{which} has the bbox_mode {mode.name}; only BoxMode.XYXY_ABS and BoxMode.XYWH_ABS are"
            " supported"
        )
    box = _plain(entry["bbox"])
    if mode == BoxMode.XYXY_ABS and isinstance(box, list) and len(box) == 4:
        with suppress(TypeError):  # which the checks say
            return [box[0], box[1], box[2] - box[0], box[3] - box[1]]
    return box


def _area(made: Mapping[str, Any]) -> float | None:
    """Return what Detectron2 gives as COCO's area: of the mask, or else of the box, in pixels."""
    outline = made.get("segmentation")
    try:
        if isinstance(outline, Mapping):
            return float(mask_util.area(compressed_runs(outline, *outline["size"])))
        if outline:
            corners = (np.asarray(polygon, dtype=float).reshape(-1, 2).T for polygon in outline)
            return float(sum(polygon_area(x, y) for x, y in corners))
        return float(made["bbox"][2] * made["bbox"][3])
    except (KeyError, IndexError, TypeError, ValueError):
        return None  # for the checks to say


def _plain(value: Any) -> Any:
    """Return a value as JSON has it: no arrays, tensors, tuples, paths or bytes."""
    if isinstance(value, (np.generic, np.ndarray, torch.Tensor)):
        return value.tolist()
    if isinstance(value, Mapping):
        return {str(key): _plain(one) for key, one in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(one) for one in value]
    if isinstance(value, bytes):
        return value.decode("latin-1")
    if value is None or isinstance(value, (int, float, str)):
        return value
    # what is no value of JSON is for the checks to say
    return os.fspath(value) if isinstance(value, os.PathLike) else str(value)
