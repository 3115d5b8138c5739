"""From sources to data sets that Detectron2 knows by name, checked and fingerprinted."""

from __future__ import annotations

import functools
import logging
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from detectron2.data import DatasetCatalog, MetadataCatalog
from detectron2.data.datasets import load_coco_json
from detectron2.utils import comm

from robust_det.core.errors import UserError, did_you_mean
from robust_det.data.detection.cache import keep_document
from robust_det.data.detection.dataset_facts import DatasetFacts, facts_of
from robust_det.data.detection.entries import parse_entry
from robust_det.data.detection.readers.coco_json import CocoSource
from robust_det.data.detection.readers.panoptic_json import PanopticSource
from robust_det.data.detection.readers.voc_folder import VocSource
from robust_det.data.detection.source import Reading, Source

__all__ = [
    "describe_dataset",
    "number_of_classes",
    "number_of_stuff_classes",
    "prepare_dataset",
    "register_custom",
    "source_of",
]

logger = logging.getLogger(__name__)

# by name: where each data set of the config comes from, and each of Detectron2's that was cleaned
_sources: dict[str, Source] = {}
# by name: what was prepared last
_current: dict[str, _Prepared] = {}


@dataclass(frozen=True)
class _Prepared:
    """A checked data set.

    Attributes:
        facts: about it.
        json_file: the COCO JSON to register; none for Detectron2's VOC and for stuff alone.
        image_root, maps, metadata: as in :class:`Reading`.
        images: those of a data set of stuff alone.
    """

    facts: DatasetFacts
    json_file: str
    image_root: str
    maps: Mapping[Any, str] = field(default_factory=dict)
    metadata: Mapping[str, Any] = field(default_factory=dict)
    images: Sequence[Mapping[str, Any]] = ()


def register_custom(entries: Sequence[Mapping[str, Any]]) -> None:
    """Register the data sets of ``DATASETS.CUSTOM``. They are read when they are prepared.

    Args:
        entries: see :func:`~robust_det.data.detection.entries.parse_entry`.

    Raises:
        UserError: an entry is wrong, or takes a name that is in use.
    """
    for entry in entries:
        name, source = parse_entry(entry)
        if _sources.get(name) == source:
            continue
        if name in _sources or name in DatasetCatalog.list():
            raise UserError(
                f"the data set name '{name}' is in use; choose another in DATASETS.CUSTOM"
            )
        _sources[name] = source
        DatasetCatalog.register(name, functools.partial(_load, name))
        MetadataCatalog.get(name).set(evaluator_type="coco")
        if isinstance(source, CocoSource):
            MetadataCatalog.get(name).set(json_file=source.json_file, image_root=source.image_root)


def source_of(name: str) -> Source:
    """Return where a registered data set comes from.

    Raises:
        UserError: unknown name, or a data set in neither COCO's nor VOC's form.
    """
    if name in _sources:
        return _sources[name]
    known = list(DatasetCatalog.list())
    if name not in known:
        raise UserError(
            f"unknown data set '{name}'{did_you_mean(name, known)};"
            " your own are named in DATASETS.CUSTOM"
        )
    metadata = MetadataCatalog.get(name)
    if hasattr(metadata, "sem_seg_root"):
        # stuff alone is made from the files of the data set that has both
        whole = MetadataCatalog.get(name.replace("_stuffonly", "_separated"))
        return PanopticSource(
            whole.panoptic_json,
            whole.panoptic_root,
            metadata.sem_seg_root,
            metadata.image_root,
            metadata.get("json_file") or "",
            published=True,
        )
    if hasattr(metadata, "json_file"):
        return CocoSource(metadata.json_file, metadata.image_root, published=True)
    if metadata.get("evaluator_type") == "pascal_voc":
        classes = tuple(metadata.thing_classes)
        return VocSource(metadata.dirname, metadata.split, classes, published=True)
    raise UserError(
        f"data set '{name}' is in neither COCO's nor VOC's format, which this version reads"
    )


def prepare_dataset(name: str, lenient: bool = False) -> DatasetFacts:
    """Check a registered data set on disk, and let Detectron2 read what a run shall see.

    Args:
        name: as registered.
        lenient: leave out or mend what is unsound, and say so, instead of refusing the data set.

    Returns:
        The facts of what a run will read.

    Raises:
        UserError: unknown name, unreadable annotations, or problems: all of them counted in one
            line. With ``lenient``, problems that leave nothing to train on.
    """
    source = source_of(name)
    prepared = _prepare(name, source, lenient)
    _current[name] = prepared
    metadata = MetadataCatalog.get(name)
    moved = prepared.json_file and metadata.get("json_file") != prepared.json_file
    if moved or prepared.maps:
        _sources.setdefault(name, source)
        _register_anew(name, prepared)
    return prepared.facts


def _register_anew(name: str, prepared: _Prepared) -> None:
    """Let Detectron2 load a data set by :func:`_load`: metadata cannot be changed, only made."""
    before = {k: v for k, v in MetadataCatalog.get(name).as_dict().items() if k != "name"}
    files = {"image_root": prepared.image_root}
    if prepared.json_file:
        files["json_file"] = prepared.json_file
    DatasetCatalog.remove(name)
    MetadataCatalog.remove(name)
    DatasetCatalog.register(name, functools.partial(_load, name))
    MetadataCatalog.get(name).set(**{**before, **prepared.metadata, **files})


@functools.cache
def _prepare(name: str, source: Source, lenient: bool) -> _Prepared:
    reading = source.read(name)
    report = reading.report
    made_here = not reading.json_file
    if isinstance(source, VocSource) and source.published:
        # Detectron2 reads the XML files by itself
        if report.problems:
            raise UserError(
                f"{report.complaint(False)}, or name its folder as VOC in DATASETS.CUSTOM"
            )
        facts = facts_of(name, reading.document, reading.sha256)
        return _Prepared(facts, "", reading.image_root)
    if report.problems and (not lenient or report.hopeless):
        raise UserError(report.complaint())
    if not reading.document["annotations"]:
        raise UserError(f"{report.complaint(False)}: without these nothing is left")
    json_file, sha256 = reading.json_file, reading.sha256
    stuff_alone = isinstance(source, PanopticSource) and not source.json_file
    if (made_here or report.problems) and not stuff_alone:
        kept, sha256 = keep_document(name, reading.document)
        json_file = str(kept)
    if report.problems and comm.is_main_process():
        logger.warning(report.cleaned() + f"; this run reads {json_file}" * bool(json_file))
    return _prepared(name, reading, json_file, sha256)


def _prepared(name: str, reading: Reading, json_file: str, sha256: str) -> _Prepared:
    stuff, document = reading.metadata.get("stuff_classes", ()), reading.document
    if not json_file:
        document = {**document, "categories": []}  # which are those of objects
    facts = facts_of(name, document, sha256, stuff, reading.panoptic_sha256)
    root, images = reading.image_root, () if json_file else document["images"]
    return _Prepared(facts, json_file, root, reading.maps, reading.metadata, images)


def _load(name: str) -> list[dict[str, Any]]:
    if name not in _current:
        prepare_dataset(name)
    prepared = _current[name]
    if not prepared.json_file:
        return [_stuff_record(prepared, image) for image in prepared.images]
    dicts = load_coco_json(prepared.json_file, prepared.image_root, name)
    if prepared.maps:
        for record in dicts:
            record["sem_seg_file_name"] = prepared.maps[record["image_id"]]
    if isinstance(_sources[name], VocSource):
        # all of its iscrowd are objects marked difficult: evaluation, which reads the file,
        # ignores them, and training keeps them
        for record in dicts:
            for thing in record["annotations"]:
                thing["iscrowd"] = 0
    return dicts


def _stuff_record(prepared: _Prepared, image: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "file_name": os.path.join(prepared.image_root, image["file_name"]),
        "image_id": image["id"],
        "height": image["height"],
        "width": image["width"],
        "sem_seg_file_name": prepared.maps[image["id"]],
    }


def describe_dataset(name: str) -> DatasetFacts:
    """Return the facts of a data set, as it was prepared last; check it if it was not yet.

    Raises:
        UserError: see :func:`prepare_dataset`.
    """
    return _current[name].facts if name in _current else prepare_dataset(name)


def number_of_classes(names: Sequence[str]) -> int:
    """Return the number of classes of objects that the data sets share.

    Raises:
        UserError: they differ in classes.
    """
    return len(_shared([(name, describe_dataset(name).classes) for name in names]))


def number_of_stuff_classes(names: Sequence[str]) -> int:
    """Return the number of classes that the data sets' semantic maps share.

    Raises:
        UserError: they differ in classes.
    """
    return len(_shared([(name, describe_dataset(name).stuff) for name in names]))


def _shared(classes: Sequence[tuple[str, tuple[str, ...]]]) -> tuple[str, ...]:
    first, shared = classes[0]
    for name, other in classes[1:]:
        if other != shared:
            raise UserError(f"data sets '{first}' and '{name}' differ in their classes")
    return shared
