"""What a run needs to know about a data set, and what its record keeps."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

from robust_det.data.detection.segments import stuff_names
from robust_det.data.detection.source import Reading

__all__ = ["Annotations", "DatasetFacts", "facts_of"]


@dataclass(frozen=True)
class DatasetFacts:
    """What is known about a data set.

    Attributes:
        name: as registered.
        images, annotations: how many.
        classes: names in the order of their ids.
        sha256: of the annotations: of the user's COCO JSON file; of the one that was made from
            other files, or of what was left when they were cleaned; and of split list and XML files
            for Detectron2's own VOC sets.
        file: the path of the annotations that have this hash; empty if they are not one file.
        masks: how objects outside of crowds are outlined: ``none`` if any of them is not,
            ``rle`` if any is run-length encoded, ``polygon`` otherwise.
        stuff: names of the classes of its semantic maps, all things being the first one; empty
            without maps.
        panoptic_sha256: of its panoptic annotations; empty without any.
        bare_objects, bare_crowds: how many have no outline, where others have one.
        masks_elsewhere: how many objects are outlined where their boxes are not.
        taken_crowds: how many were taken as single objects, as ``DATASETS.CROWD`` said.
        crowds_alone: whether all objects are crowds.
    """

    name: str
    images: int
    annotations: int
    classes: tuple[str, ...]
    sha256: str
    masks: str
    stuff: tuple[str, ...] = ()
    panoptic_sha256: str = ""
    file: str = ""
    bare_objects: int = 0
    bare_crowds: int = 0
    taken_crowds: int = 0
    crowds_alone: bool = False
    masks_elsewhere: int = 0


class Annotations(NamedTuple):
    """What a record names as the annotations of a data set: see :class:`DatasetFacts`."""

    file: str = ""
    sha256: str = ""


def facts_of(
    reading: Reading, categories: Iterable[Mapping[str, Any]], annotations: Annotations
) -> DatasetFacts:
    """Return the facts of a checked data set; see :class:`DatasetFacts`.

    Args:
        reading: of the data set.
        categories: of the objects that a run learns, in canonical form.
        annotations: which a record names.
    """
    images, panoptic, count = reading.images, reading.panoptic, reading.report.count
    return DatasetFacts(
        reading.report.name,
        len(images),
        images.objects,
        tuple(c["name"] for c in sorted(categories, key=lambda c: c["id"])),
        annotations.sha256,
        images.masks,
        tuple(stuff_names(panoptic.categories)) if panoptic else (),
        panoptic.sha256 if panoptic else "",
        annotations.file or (panoptic.json_file if panoptic else ""),
        bare_objects=count("bare_object"),
        bare_crowds=count("bare_crowd"),
        taken_crowds=count("taken_crowd"),
        crowds_alone=count("all_crowds") > 0,
        masks_elsewhere=count("mask_elsewhere"),
    )
