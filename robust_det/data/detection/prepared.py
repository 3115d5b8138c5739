"""A data set that was checked, as a run reads it."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from functools import partial
from typing import Any

from robust_det.core.errors import UserError
from robust_det.core.memory import without_garbage_collection
from robust_det.data.detection.cache import content_key, document_json, keep_json, panoptic_json
from robust_det.data.detection.canonical.entries import as_coco
from robust_det.data.detection.checking.images import Depth
from robust_det.data.detection.dataset_facts import Annotations, DatasetFacts, facts_of
from robust_det.data.detection.packed_images import PackedImages
from robust_det.data.detection.readers.panoptic_json import PanopticSource
from robust_det.data.detection.readers.voc_folder import VocSource
from robust_det.data.detection.source import Panoptic, Reading, Source

__all__ = ["Prepared", "check_and_pack"]

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Prepared:
    """A checked data set.

    Attributes:
        facts: about it.
        image_root: the folder that image names are relative to.
        json_file: COCO JSON in canonical form, see :mod:`.canonical`; empty for Detectron2's VOC,
            and for stuff alone.
        panoptic_file: panoptic annotations whose images are numbered like those; empty without any.
        own_ids: whether images have ids that users know, such as those of a file in COCO's format.
        categories: of the objects, in the order of their ids.
        panoptic: where segments are; None without any.
        images: with what is on them; None for Detectron2's VOC.
    """

    facts: DatasetFacts
    image_root: str
    json_file: str = ""
    panoptic_file: str = ""
    own_ids: bool = False
    categories: tuple[dict[str, Any], ...] = ()
    panoptic: Panoptic | None = None
    images: PackedImages | None = None

    @property
    def places(self) -> dict[int, int]:
        """The place of each category among the classes, from 0, by id."""
        return {c["id"]: place for place, c in enumerate(self.categories)}

    def segments(self) -> dict[int, dict[str, Any]]:
        """The panoptic annotation of each image, by the image's number."""
        entries = self.images or ()
        return {image["id"]: segments for image, _, segments in entries if segments is not None}

    def truth(self) -> dict[str, Any]:
        """The document that evaluation goes by, as ``json_file`` has it; all objects are new."""
        assert self.images is not None
        return as_coco(self.images.document(self.categories))

    def original_ids(self) -> dict[int, Any]:
        """The id by which users know each image, by its number; empty if they know none."""
        if self.images is None or not self.own_ids:
            return {}
        return {image["id"]: original for image, original in self.images.heads()}


def check_and_pack(name: str, source: Source, lenient: bool) -> Prepared:
    """Read and check a data set.

    Args:
        name: for messages and files.
        source: where it is.
        lenient: leave out or mend what is unsound, and say so, instead of refusing the data set.
            All images are decoded then, so that a truncated one is left out before a loader of
            training or evaluation meets it.

    Raises:
        UserError: there are problems: all of them counted in one line. With ``lenient``, problems
            that leave nothing to train on.
    """
    with without_garbage_collection():
        reading = source.read(name, Depth.PIXELS if lenient else None)
        if isinstance(source, VocSource) and source.published:
            return _of_published_voc(reading)
        return _of_reading(name, source, reading, lenient)


def _of_published_voc(reading: Reading) -> Prepared:
    # Detectron2 reads the XML files by itself
    if reading.report.problems:
        complaint = reading.report.complaint(False)
        raise UserError(f"{complaint}, or name its folder as VOC in DATASETS.CUSTOM")
    annotations = Annotations(sha256=reading.sha256)
    facts = facts_of(reading, reading.canonical_classes(), annotations)
    return Prepared(facts, reading.image_root)


def _of_reading(name: str, source: Source, reading: Reading, lenient: bool) -> Prepared:
    report, panoptic = reading.report, reading.panoptic
    if report.problems and (not lenient or report.hopeless):
        raise UserError(report.complaint(bool(reading.images.objects)))
    if not reading.images.objects:
        raise UserError(f"{report.complaint(False)}: without these nothing is left")
    stuff_alone = isinstance(source, PanopticSource) and not source.json_file
    categories = [] if stuff_alone else sorted(reading.canonical_classes(), key=lambda c: c["id"])
    own_ids = reading.own_ids or bool(reading.json_file)
    panoptic_sha256 = panoptic.sha256 if panoptic else ""
    # what the user has says all of it, unless the run reads less or it is in another form
    as_annotated = not (report.problems or report.count("taken_crowd")) and bool(
        reading.json_file or stuff_alone
    )
    read = (reading.sha256 or panoptic_sha256) if as_annotated else ""
    key = f"{content_key(reading.images, read)} {categories} {own_ids}"
    json_file, panoptic_file, annotations = "", "", Annotations(reading.json_file, reading.sha256)
    if not stuff_alone:
        content = partial(document_json, reading.images, categories, own_ids)
        json_file, sha256 = keep_json(name, key, content, required=not as_annotated)
        if not as_annotated:
            annotations = Annotations(json_file, sha256)
    if panoptic is not None:
        content = partial(panoptic_json, reading.images, panoptic.categories)
        panoptic_key = f"{key} {panoptic_sha256}"
        panoptic_file, _ = keep_json(f"{name}-panoptic", panoptic_key, content, required=False)
    if report.problems:
        logger.warning(report.cleaned() + (f"; this run reads {json_file}" if json_file else ""))
    for remark in report.remarks:
        logger.warning(remark)
    return Prepared(
        facts_of(reading, categories, annotations),
        reading.image_root,
        json_file,
        panoptic_file,
        own_ids,
        tuple(categories),
        panoptic,
        reading.images,
    )
