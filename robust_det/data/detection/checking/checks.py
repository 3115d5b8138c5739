"""Checks of a document in COCO format, each with what to do for who wants to go on regardless.

They find what would stop a run hours later, when Detectron2 or pycocotools meets it, and what would
cost AP in silence.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from typing import Any

from robust_det.data.detection.annotation_file import Text, with_texts
from robust_det.data.detection.canonical.entries import canonical_class
from robust_det.data.detection.canonical.identifiers import is_identifier
from robust_det.data.detection.checking.images import Depth, look, other_size
from robust_det.data.detection.checking.leftovers import companion
from robust_det.data.detection.checking.listing import Listing, find_files
from robust_det.data.detection.checking.objects import check_objects
from robust_det.data.detection.checking.report import Report, shortened
from robust_det.data.detection.checking.terms import EVERYTHING, Terms
from robust_det.data.detection.packed_images import PackedImages, Packer
from robust_det.data.spellings import folded
from robust_det.data.walking import has_hidden_part

__all__ = ["check_document"]

_SIDES = ("width", "height")


def check_document(
    document: Mapping[str, Any],
    image_root: str,
    report: Report,
    depth: Depth,
    terms: Terms = EVERYTHING,
) -> PackedImages:
    """Check images and objects.

    Args:
        document: in COCO format; images and annotations may be anything, the lists are there.
        image_root: the folder that image names are relative to.
        report: what is found is added to it.
        depth: how closely to look at the image files.
        terms: what the run wants.

    Returns:
        Images and objects with what is unsound left out or mended.
    """
    classes = _classes(document["categories"], report)
    _note_similar(classes.values(), report)
    if not document["images"]:
        # where a reader has left all of them out, it has said why
        if not report.problems:
            report.add("no_images")
    elif not document["annotations"]:
        report.add("no_objects")
    for what in ("images", "annotations"):
        report.count_all("objects" if what == "annotations" else what, len(document[what]))
    images = _Images(report)
    for entry, text in with_texts(document["images"]):
        images.take(entry, text)
    images.look_at_files(image_root, depth)
    packer = Packer(images.kept, images.texts)
    for annotation, text in check_objects(
        document["annotations"], images.kept, images.same_as, images.gone, classes, report, terms
    ):
        packer.add(annotation, text)
    for number, name in classes.items():
        if number not in packer.classes:
            report.add("unused_class", name)
    for number, image in images.kept.items():
        if packer.is_empty(number):
            report.add("empty_image", image["file_name"])
    return packer.packed()


def _classes(categories: list[Any], report: Report) -> dict[int, str]:
    classes: dict[int, str] = {}
    if not categories:
        report.add("no_classes")
    for entry in categories:
        made = canonical_class(entry)
        if made is None or made["id"] in classes or made["name"] in classes.values():
            report.add("broken_class", shortened(entry))
        else:
            classes[made["id"]] = made["name"]
    return classes


def _note_similar(names: Iterable[str], report: Report) -> None:
    """Note classes that may be one, which several people have written."""
    first: dict[str, str] = {}
    for name in names:
        other = first.setdefault(" ".join(folded(name).split()), name)
        if other != name:
            report.add("similar_class", f"'{other}' and '{name}'")


class _Images:
    """The images of a document: those kept, those merged into another, and those gone.

    Args:
        report: what is found is added to it.
    """

    def __init__(self, report: Report) -> None:
        self.kept: dict[Any, dict[str, Any]] = {}
        self.texts: dict[Any, Text] = {}
        self.same_as: dict[Any, Any] = {}
        self.gone: set[Any] = set()
        self._by_file: dict[str, Any] = {}
        self._report = report

    def take(self, entry: Any, text: Text | None) -> None:
        """Check one entry."""
        number = entry.get("id") if isinstance(entry, dict) else None
        if not is_identifier(number):
            self._report.add("broken_image", f"no id in {shortened(entry)}")
            return
        fault = _fault(entry)
        if fault:
            self._report.add("broken_image", f"image {number} {fault}")
            self._drop(number)
            return
        file = os.path.normpath(entry["file_name"])
        known = self.same_as.get(number, number)
        if known in self.kept or known in self.gone:
            first = os.path.normpath(self.kept.get(known, {}).get("file_name", file))
            kind = "duplicate_image" if first == file else "conflicting_image"
            self._report.add(kind, f"id {number} of {first} and {file}")
            if first != file:
                # whose objects are whose cannot be told
                self._drop(number)
        elif file in self._by_file:
            self.same_as[number] = self._by_file[file]
            self._report.add("duplicate_file", f"{file} as {self._by_file[file]} and {number}")
        else:
            if not type(entry["width"]) is type(entry["height"]) is int:
                entry, text = {**entry, **{side: int(entry[side]) for side in _SIDES}}, None
            self.kept[number] = entry
            if text is not None:
                self.texts[number] = text
            self._by_file[file] = number

    def _missing(self, listing: Listing, path: str) -> str:
        other = companion(listing, path) if self._report.is_open("missing_image") else ""
        return f"{path}; {other} is there, a format that is not read" if other else path

    def look_at_files(self, root: str, depth: Depth) -> None:
        """Drop images that are missing, unreadable, or of another size than annotated."""
        listing = Listing()
        files = find_files(listing, root, self._by_file, self._report)
        paths: dict[Any, str] = {}
        for number, entry in list(self.kept.items()):
            name = os.path.normpath(entry["file_name"])
            file = files.get(name)
            path = paths[number] = os.path.join(root, file or name)
            if not file:
                if file is not None:
                    self._report.add("missing_image", self._missing(listing, path))
                self._drop(number)
            elif file != entry["file_name"]:
                self.kept[number] = {**entry, "file_name": file}
                self.texts.pop(number, None)
        there = [number for number in paths if number in self.kept]
        if depth == Depth.NAMES:
            return
        sizes = look([paths[number] for number in there], self._report.name, depth, self._report)
        for number, size in zip(there, sizes, strict=True):
            entry = self.kept[number]
            annotated = (entry["width"], entry["height"])
            if isinstance(size, str):
                self._report.add("unreadable_image", f"{paths[number]}: {size}")
                self._drop(number)
            elif size != annotated:
                self._report.add("wrong_size", other_size(paths[number], size, annotated))
                self._drop(number)

    def _drop(self, number: Any) -> None:
        for one in (number, *(n for n, first in self.same_as.items() if first == number)):
            self.kept.pop(one, None)
            self.same_as.pop(one, None)
            self.gone.add(one)


def _fault(entry: Mapping[str, Any]) -> str:
    for key in ("file_name", *_SIDES):
        if key not in entry:
            return f"lacks '{key}'"
    name, width, height = entry["file_name"], entry["width"], entry["height"]
    if not isinstance(name, str) or not name:
        return f"has the file_name {name!r}"
    if has_hidden_part(name):
        return f"is the hidden file {shortened(name)}"
    for what, value in (("width", width), ("height", height)):
        if isinstance(value, str):
            return f"has the {what} '{shortened(value)}', which is text; write a number"
    if not all(type(v) in (int, float) and v > 0 and v == v // 1 for v in (width, height)):
        return f"has a size of {width} x {height}"
    return ""
