"""What a run needs to know about a data set, and what its record keeps."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

__all__ = ["DatasetFacts", "facts_of"]


@dataclass(frozen=True)
class DatasetFacts:
    """What is known about a data set.

    Attributes:
        name: as registered.
        images, annotations: how many.
        classes: names in the order of their ids.
        sha256: of the annotations a run reads: of the COCO JSON file, also where it was made from
            other files or cleaned, and of split list and XML files for Detectron2's own VOC sets.
        masks: how objects outside of crowds are outlined: ``none`` if any of them is not,
            ``rle`` if any is run-length encoded, ``polygon`` otherwise.
        stuff: names of the classes of its semantic maps, all things being the first one; empty
            without maps.
        panoptic_sha256: of its panoptic annotations; empty without any.
    """

    name: str
    images: int
    annotations: int
    classes: tuple[str, ...]
    sha256: str
    masks: str
    stuff: tuple[str, ...] = ()
    panoptic_sha256: str = ""


def facts_of(
    name: str,
    document: Mapping[str, Any],
    sha256: str,
    stuff: Sequence[str] = (),
    panoptic_sha256: str = "",
) -> DatasetFacts:
    """Return the facts of a sound document in COCO format; see :class:`DatasetFacts`."""
    annotations = document["annotations"]
    categories = sorted(document["categories"], key=lambda c: c["id"])
    return DatasetFacts(
        name,
        len(document["images"]),
        len(annotations),
        tuple(str(c["name"]) for c in categories),
        sha256,
        _masks(annotations),
        tuple(stuff),
        panoptic_sha256,
    )


def _masks(annotations: Sequence[Mapping[str, Any]]) -> str:
    outlines = [a.get("segmentation") for a in annotations if not a["iscrowd"]]
    if not all(outlines):
        return "none"
    return "rle" if any(isinstance(outline, Mapping) for outline in outlines) else "polygon"
