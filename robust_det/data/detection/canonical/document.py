"""Documents of others, numbered as a run numbers them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from robust_det.data.detection.canonical.entries import canonical_classes
from robust_det.data.detection.canonical.identifiers import Identifiers, in_order
from robust_det.data.detection.canonical.runs import canonical_runs

__all__ = ["ORIGINAL_IDS", "numbered"]

# where a document says what its images were called before they were numbered: in the order of ids
ORIGINAL_IDS = "original_image_ids"


def numbered(document: Mapping[str, Any]) -> tuple[dict[str, Any], list[Any]]:
    """Return a document in COCO format with the ids that a run gave it.

    Args:
        document: sound, as annotated or as it was kept for a run.

    Returns:
        The document, whose images are 1, 2, ..., and the ids under which the detections of a run
        name these images. Keys that are not read stay.
    """
    order = in_order(image["id"] for image in document["images"])
    ids, places = Identifiers(order), {one: place for place, one in enumerate(order)}
    images = sorted(document["images"], key=lambda image: places[image["id"]])
    classes = Identifiers(c["id"] for c in document["categories"])
    by_image: list[list[dict[str, Any]]] = [[] for _ in order]
    for entry in document["annotations"]:
        found = ids.find(entry["image_id"])
        if found is not None:
            place, category = places[found], classes.find(entry["category_id"])
            outline = _outline(entry, images[place])
            by_image[place].append({**entry, "category_id": category, **outline})
    annotations: list[dict[str, Any]] = []
    for number, entries in enumerate(by_image, 1):
        for entry in entries:
            annotations.append({**entry, "id": len(annotations) + 1, "image_id": number})
    made = {
        "images": [{**_whole(image), "id": number} for number, image in enumerate(images, 1)],
        "annotations": annotations,
        "categories": canonical_classes(document["categories"]),
    }
    return made, document.get(ORIGINAL_IDS, order)


def _whole(image: Mapping[str, Any]) -> dict[str, Any]:
    return {**image, **{side: int(image[side]) for side in ("width", "height") if side in image}}


def _outline(entry: Mapping[str, Any], image: Mapping[str, Any]) -> dict[str, Any]:
    outline = entry.get("segmentation")
    if not isinstance(outline, Mapping):
        return {}
    found = canonical_runs(outline, int(image["width"]), int(image["height"]))
    return {} if found is None else {"segmentation": found}
