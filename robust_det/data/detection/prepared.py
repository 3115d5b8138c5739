"""A data set that was checked, as a run reads it."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from robust_det.core.errors import UserError
from robust_det.core.memory import without_garbage_collection
from robust_det.data.detection.annotation_file import read_json
from robust_det.data.detection.cache import keep_document
from robust_det.data.detection.dataset_facts import DatasetFacts, facts_of
from robust_det.data.detection.packed_images import PackedImages
from robust_det.data.detection.readers.panoptic_json import PanopticSource
from robust_det.data.detection.readers.voc_folder import VocSource
from robust_det.data.detection.segments import stuff_names
from robust_det.data.detection.source import Panoptic, Reading, Source

__all__ = ["Prepared", "as_coco", "check_and_pack"]

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Prepared:
    """A checked data set.

    Attributes:
        facts: about it.
        image_root: the folder that image names are relative to.
        json_file: the COCO JSON that says the same; empty for Detectron2's VOC, and for stuff
            alone.
        made_here: whether that file was made from another form.
        categories: of the objects, in the order of their ids.
        panoptic: where segments are; None without any.
        images: with what is on them; None for Detectron2's VOC.
    """

    facts: DatasetFacts
    image_root: str
    json_file: str = ""
    made_here: bool = False
    categories: tuple[dict[str, Any], ...] = ()
    panoptic: Panoptic | None = None
    images: PackedImages | None = None

    @property
    def places(self) -> dict[int, int]:
        """The place of each category among the classes, from 0, by id."""
        return {c["id"]: place for place, c in enumerate(self.categories)}

    def segments(self) -> dict[Any, dict[str, Any]]:
        """The panoptic annotation of each image, by image id."""
        entries = self.images or ()
        return {image["id"]: segments for image, _, segments in entries if segments is not None}

    def truth(self) -> dict[str, Any]:
        """The document that evaluation goes by, as ``json_file`` has it; all objects are new."""
        assert self.images is not None
        document = self.images.document(self.categories)
        return as_coco(document) if self.made_here else document


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


def check_and_pack(name: str, source: Source, lenient: bool) -> Prepared:
    """Read and check a data set.

    Args:
        name: for messages and files.
        source: where it is.
        lenient: leave out or mend what is unsound, and say so, instead of refusing the data set.

    Raises:
        UserError: there are problems: all of them counted in one line. With ``lenient``, problems
            that leave nothing to train on.
    """
    with without_garbage_collection():
        reading = source.read(name)
        if isinstance(source, VocSource) and source.published:
            return _of_published_voc(name, reading)
        return _of_reading(name, source, reading, lenient)


def _of_published_voc(name: str, reading: Reading) -> Prepared:
    # Detectron2 reads the XML files by itself
    if reading.report.problems:
        complaint = reading.report.complaint(False)
        raise UserError(f"{complaint}, or name its folder as VOC in DATASETS.CUSTOM")
    facts = facts_of(name, reading.images, reading.categories, reading.sha256)
    return Prepared(facts, reading.image_root)


def _of_reading(name: str, source: Source, reading: Reading, lenient: bool) -> Prepared:
    report, panoptic = reading.report, reading.panoptic
    if report.problems and (not lenient or report.hopeless):
        raise UserError(report.complaint(bool(len(reading.images.object_order))))
    if not len(reading.images.object_order):
        raise UserError(f"{report.complaint(False)}: without these nothing is left")
    json_file, sha256 = reading.json_file, reading.sha256
    made_here = not json_file
    stuff_alone = isinstance(source, PanopticSource) and not source.json_file
    rewritten = made_here or report.problems or report.count("taken_crowd")
    if rewritten and not stuff_alone:
        kept, sha256 = keep_document(name, _as_file(reading))
        json_file = str(kept)
    if report.problems:
        logger.warning(report.cleaned() + (f"; this run reads {json_file}" if json_file else ""))
    for remark in report.remarks:
        logger.warning(remark)
    categories = () if stuff_alone else sorted(reading.categories, key=lambda c: c["id"])
    facts = facts_of(
        name,
        reading.images,
        categories,
        sha256,
        stuff_names(panoptic.categories) if panoptic else (),
        panoptic.sha256 if panoptic else "",
    )
    return Prepared(
        replace(
            facts,
            bare_objects=report.count("bare_object"),
            bare_crowds=report.count("bare_crowd"),
            masks_elsewhere=report.count("mask_elsewhere"),
            taken_crowds=report.count("taken_crowd"),
            crowds_alone=report.count("all_crowds") > 0,
        ),
        reading.image_root,
        json_file,
        made_here,
        tuple(categories),
        panoptic,
        reading.images,
    )


def _as_file(reading: Reading) -> dict[str, Any]:
    """Return what a data set's own COCO JSON holds: with all that the file had that was cleaned."""
    document = reading.document()
    if not reading.json_file:
        return as_coco(document)
    return {**read_json(reading.json_file)[0], **document}
