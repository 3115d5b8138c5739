"""Images, objects and classes of a sound document, with the keys that are read and no others."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from robust_det.data.detection.canonical.identifiers import meant_number

__all__ = [
    "DIFFICULT",
    "as_coco",
    "canonical_class",
    "canonical_classes",
    "canonical_image",
    "canonical_object",
]

# how readers mark an object that training uses and evaluation ignores; exporters of COCO JSON have
# a "difficult" of their own, which nobody reads
DIFFICULT = "_difficult"
# what is handed on as it is, where it is
_ALSO = ("keypoints", "num_keypoints")
# the ids of classes go through numpy
_LARGEST = 2**63 - 1


def canonical_image(entry: Mapping[str, Any], number: int) -> dict[str, Any]:
    """Return an image under its number."""
    return {
        "id": number,
        "file_name": entry["file_name"],
        "width": int(entry["width"]),
        "height": int(entry["height"]),
    }


def canonical_object(entry: Mapping[str, Any], number: int, image: int) -> dict[str, Any]:
    """Return an object under its number, and that of its image."""
    made = {
        "id": number,
        "image_id": image,
        "category_id": int(entry["category_id"]),
        "bbox": entry["bbox"],
        "area": entry["area"],
        "iscrowd": int(entry["iscrowd"]),
    }
    if outline := entry.get("segmentation"):
        made["segmentation"] = outline
    made.update({key: entry[key] for key in _ALSO if entry.get(key) is not None})
    if entry.get(DIFFICULT):
        made["difficult"] = 1
    return made


def as_coco(document: Mapping[str, Any]) -> dict[str, Any]:
    """Return a document for readers of COCO: objects marked difficult become ``iscrowd``, which
    evaluation ignores."""
    annotations = [
        {**{k: v for k, v in a.items() if k != "difficult"}, "iscrowd": 1}
        if a.get("difficult")
        else a
        for a in document["annotations"]
    ]
    return {**document, "annotations": annotations}


def canonical_class(entry: Any) -> dict[str, Any] | None:
    """Return a category under the integer that its id is; None for what is no category."""
    try:
        number, name = meant_number(entry["id"]), entry["name"]
    except (KeyError, TypeError):
        return None
    if isinstance(entry["id"], str) or not isinstance(number, int) or abs(number) > _LARGEST:
        return None
    return {"id": number, "name": str(name)}


def canonical_classes(entries: Iterable[Any]) -> list[dict[str, Any]]:
    """Return the categories among some entries."""
    return [made for entry in entries if (made := canonical_class(entry)) is not None]
