"""From sources to data sets that Detectron2 knows by name, checked and fingerprinted."""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from detectron2.data import DatasetCatalog, MetadataCatalog

from robust_det.core.errors import UserError, did_you_mean
from robust_det.data.detection.annotation_file import read_json
from robust_det.data.detection.checking.terms import Terms
from robust_det.data.detection.dataset_facts import DatasetFacts
from robust_det.data.detection.entries import parse_entry
from robust_det.data.detection.handover import prepare
from robust_det.data.detection.prepared import Prepared
from robust_det.data.detection.readers.coco_json import CocoSource
from robust_det.data.detection.readers.panoptic_json import PanopticSource
from robust_det.data.detection.readers.voc_folder import VocSource
from robust_det.data.detection.source import Source, with_terms
from robust_det.detection.datasets.catalogued import CataloguedSource, catalogued
from robust_det.detection.datasets.class_matching import (
    check_test_classes,
    check_training_classes,
)
from robust_det.detection.datasets.dicts import DatasetDicts
from robust_det.detection.datasets.panoptic_metadata import panoptic_metadata

__all__ = [
    "annotations_file",
    "describe_dataset",
    "ground_truth",
    "number_of_classes",
    "number_of_stuff_classes",
    "original_image_ids",
    "prepare_dataset",
    "prepared_dataset",
    "register_custom",
    "source_of",
]

# by name: where each data set of the config comes from, and each of Detectron2's that was prepared
_sources: dict[str, Source] = {}
# by name: what was prepared last
_current: dict[str, Prepared] = {}


def register_custom(entries: Sequence[Mapping[str, Any]], beside: str = "") -> None:
    """Register the data sets of ``DATASETS.CUSTOM``. They are read when they are prepared.

    Args:
        entries, beside: see :func:`~robust_det.data.detection.entries.parse_entry`.

    Raises:
        UserError: an entry is wrong, or takes a name that is in use.
    """
    for entry in entries:
        name, source = parse_entry(entry, beside)
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
        UserError: unknown name, or a data set that says in no known way where it is.
    """
    known = list(DatasetCatalog.list())
    if name not in known:
        raise UserError(
            f"unknown data set '{name}'{did_you_mean(name, known)};"
            " your own are named in DATASETS.CUSTOM, or registered with Detectron2's DatasetCatalog"
            " in the script that loads the config"
        )
    function = DatasetCatalog[name]
    # somebody may have registered another under the name since
    if name in _sources and getattr(function, "func", None) is _load:
        return _sources[name]
    _sources.pop(name, None)
    metadata = MetadataCatalog.get(name)
    # a user's says more than a file that metadata name: Detectron2's evaluator leaves one there
    users = not getattr(function, "__module__", "").startswith("detectron2.")
    if users and metadata.get("evaluator_type") in (None, "coco"):
        return catalogued(name, function, metadata)
    # stuff alone is made from the files of the data set that has both
    both = name.replace("_stuffonly", "_separated")
    if hasattr(metadata, "sem_seg_root") and hasattr(MetadataCatalog.get(both), "panoptic_json"):
        if both != name:
            whole = source_of(both)
            assert isinstance(whole, PanopticSource)
            return replace(whole, json_file="")
        return PanopticSource(
            metadata.panoptic_json,
            metadata.panoptic_root,
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
        f"data set '{name}' is in neither COCO's nor VOC's format, and for Detectron2's evaluation"
        f" '{metadata.get('evaluator_type')}', which is not here; name it in COCO's format in"
        " DATASETS.CUSTOM"
    )


def prepare_dataset(
    name: str, lenient: bool = False, crowds_are_objects: bool = False, masks: bool = False
) -> DatasetFacts:
    """Check a registered data set on disk, and let Detectron2 read what a run shall see.

    Args:
        name: as registered.
        lenient: leave out or mend what is unsound, and say so, instead of refusing the data set.
        crowds_are_objects: see :class:`~robust_det.data.detection.checking.terms.Terms`.
        masks: whether masks are to be learnt: a lenient run then leaves objects without them out.

    Returns:
        The facts of what a run will read.

    Raises:
        UserError: unknown name, unreadable annotations, or problems: all of them counted in one
            line. With ``lenient``, problems that leave nothing to train on.
    """
    source = source_of(name)
    terms = Terms(crowds_are_objects, outlined=lenient and masks)
    prepared = prepare(name, with_terms(source, terms), lenient)
    if prepared.images is not None:
        _tell_detectron2(name, source, prepared)
    _current[name] = prepared
    return prepared.facts


def _tell_detectron2(name: str, source: Source, prepared: Prepared) -> None:
    before = MetadataCatalog.get(name).as_dict()
    told = _metadata(prepared)
    classes = before.get("thing_classes")
    others = name not in _sources and not isinstance(source, CataloguedSource)
    if others and classes and prepared.facts.classes not in ((), tuple(classes)):
        raise UserError(
            f"data set '{name}' has other classes than Detectron2 lists for it;"
            " give your own annotations a name of their own in DATASETS.CUSTOM"
        )
    if any(before.get(key) != value for key, value in told.items()):
        # metadata cannot be changed, only made
        del before["name"]
        MetadataCatalog.remove(name)
        MetadataCatalog.get(name).set(**{**before, **told})
    if name not in _sources:
        _sources[name] = source
        DatasetCatalog.remove(name)
        DatasetCatalog.register(name, functools.partial(_load, name))


def _metadata(prepared: Prepared) -> dict[str, Any]:
    told: dict[str, Any] = {"image_root": prepared.image_root}
    if prepared.json_file:
        told["json_file"] = prepared.json_file
    if prepared.categories:
        told["thing_classes"] = [c["name"] for c in prepared.categories]
        told["thing_dataset_id_to_contiguous_id"] = prepared.places
    if panoptic := prepared.panoptic:
        told |= panoptic_metadata(panoptic.categories)
        told["panoptic_json"] = prepared.panoptic_file
        told["panoptic_root"] = panoptic.segment_root
        told["sem_seg_root"] = panoptic.map_root
    return told


def _load(name: str) -> list[dict[str, Any]]:
    return list(DatasetDicts([prepared_dataset(name)]))


def prepared_dataset(name: str) -> Prepared:
    """Return a data set as it was prepared last; prepare it if it was not yet.

    Raises:
        UserError: see :func:`prepare_dataset`.
    """
    if name not in _current:
        prepare_dataset(name)
    return _current[name]


def describe_dataset(name: str) -> DatasetFacts:
    """Return the facts of a data set; see :func:`prepared_dataset`."""
    return prepared_dataset(name).facts


def ground_truth(name: str) -> dict[str, Any]:
    """Return the document in COCO format that a data set is scored by; whoever asks may change it.

    Args:
        name: of a prepared data set, or of one that Detectron2 knows the ``json_file`` of.
    """
    if name in _current and _current[name].images is not None:
        return _current[name].truth()
    document: dict[str, Any] = read_json(MetadataCatalog.get(name).json_file)[0]
    # pycocotools takes an object with the id 0 for one that was never found
    for number, entry in enumerate(document["annotations"], 1):
        entry["id"] = number
    return document


def original_image_ids(name: str) -> dict[int, Any]:
    """Return the id by which users know each image, by its ``image_id`` in Detectron2.

    Empty where they are the same, or users know none.
    """
    return _current[name].original_ids() if name in _current else {}


def annotations_file(name: str) -> str:
    """Return the path of a data set's annotations, as records name it; empty without any."""
    if name in _current:
        return _current[name].facts.file
    known = MetadataCatalog.get(name)
    return str(known.get("json_file") or known.get("panoptic_json") or "")


def number_of_classes(names: Sequence[str], training: int = 1) -> int:
    """Return the number of classes of objects of a detector for data sets: the first one's.

    Args:
        names: of training sets, then of test sets.
        training: how many of them are training sets, at least one.

    Raises:
        UserError: a training set has other classes, in whatever order, or a test set more of them.
    """
    classes = [describe_dataset(name).classes for name in names]
    for number, (name, others) in enumerate(zip(names, classes, strict=True)):
        check = check_training_classes if number < training else check_test_classes
        check(f"data sets '{names[0]}' and '{name}'", classes[0], name, others)
    return len(classes[0])


def number_of_stuff_classes(names: Sequence[str], training: int = 1) -> int:
    """Return the number of classes of pixels of a detector for data sets; see above.

    Raises:
        UserError: one has other classes, or, of a training set, in another order: its semantic maps
            hold their places.
    """
    classes = [describe_dataset(name).stuff for name in names]
    for number, (name, others) in enumerate(zip(names, classes, strict=True)):
        both = f"data sets '{names[0]}' and '{name}'"
        check_training_classes(both, classes[0], name, others)
        if number < training and others != classes[0]:
            raise UserError(
                f"{both} number their classes of pixels otherwise, and semantic maps hold numbers;"
                " give the categories of both the same order of ids"
            )
    return len(classes[0])
