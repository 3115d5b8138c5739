"""Documents of others, numbered as a run numbers them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from robust_det.data.detection.canonical.entries import (
    canonical_classes,
    canonical_image,
    canonical_object,
)
from robust_det.data.detection.canonical.identifiers import Identifiers, in_order
from robust_det.data.detection.canonical.runs import canonical_runs

__all__ = ["ORIGINAL_IDS", "numbered"]

# where a document says what its images were called before they were numbered: in the order of ids
ORIGINAL_IDS = "original_image_ids"


def numbered(document: Mapping[str, Any]) -> tuple[dict[str, Any], list[Any]]:
    """Return a sound document in COCO format with the ids that a run gave it.

    Args:
        document: as annotated, or as it was kept for a run; its objects are of listed images.

    Returns:
        The document in canonical form, whose images are 1, 2, ..., and the ids under which the
        detections of a run name these images.
    """
    order = in_order(image["id"] for image in document["images"])
    ids, places = Identifiers(order), {one: place for place, one in enumerate(order)}
    images = sorted(document["images"], key=lambda image: places[image["id"]])
    classes = Identifiers(c["id"] for c in document["categories"])
    by_image: list[list[dict[str, Any]]] = [[] for _ in order]
    for entry in document["annotations"]:
        place = places[ids.find(entry["image_id"])]
        changed = {"category_id": classes.find(entry["category_id"])}
        by_image[place].append({**entry, **changed, **_outline(entry, images[place])})
    annotations: list[dict[str, Any]] = []
    for number, entries in enumerate(by_image, 1):
        for entry in entries:
            annotations.append(canonical_object(entry, len(annotations) + 1, number))
    made = {
        "images": [canonical_image(image, number) for number, image in enumerate(images, 1)],
        "annotations": annotations,
        "categories": canonical_classes(document["categories"]),
    }
    return made, document.get(ORIGINAL_IDS, order)


def _outline(entry: Mapping[str, Any], image: Mapping[str, Any]) -> dict[str, Any]:
    outline = entry.get("segmentation")
    if not isinstance(outline, Mapping):
        return {}
    found = canonical_runs(outline, int(image["width"]), int(image["height"]))
    return {} if found is None else {"segmentation": found}
