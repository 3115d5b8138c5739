"""Checks of a document in COCO format, each with what to do for who wants to go on regardless.

They find what would stop a run hours later, when Detectron2 or pycocotools meets it, and what would
cost AP in silence.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from typing import Any

from robust_det.data.detection.annotation_file import Text, with_texts
from robust_det.data.detection.checking.images import Depth, look
from robust_det.data.detection.checking.listing import SPELLINGS, Listing, find_files
from robust_det.data.detection.checking.objects import check_objects
from robust_det.data.detection.checking.report import Report, shortened
from robust_det.data.detection.packed_images import PackedImages, Packer
from robust_det.data.walking import has_hidden_part

__all__ = ["check_document"]


def check_document(
    document: Mapping[str, Any],
    image_root: str,
    report: Report,
    depth: Depth,
) -> PackedImages:
    """Check images and objects.

    Args:
        document: in COCO format; images and annotations may be anything, the lists are there.
        image_root: the folder that image names are relative to.
        report: what is found is added to it.
        depth: how closely to look at the image files.

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
    images = _Images(report)
    for entry, text in with_texts(document["images"]):
        images.take(entry, text)
    images.look_at_files(image_root, depth)
    packer = Packer(images.kept, images.texts)
    for annotation, text in check_objects(
        document["annotations"], images.kept, images.same_as, images.gone, set(classes), report
    ):
        packer.add(annotation, text)
    for number, name in classes.items():
        if number not in packer.classes:
            report.add("unused_class", name)
    for number, image in images.kept.items():
        if packer.is_empty(number):
            report.add("empty_image", image["file_name"])
    return packer.packed()


def _classes(categories: list[Any], report: Report) -> dict[Any, str]:
    classes: dict[Any, str] = {}
    if not categories:
        report.add("no_classes")
    for entry in categories:
        try:
            number, name = entry["id"], str(entry["name"])
            broken = isinstance(number, bool) or not isinstance(number, int)
        except (KeyError, TypeError):
            number, name, broken = None, "", True
        if broken or number in classes or name in classes.values():
            report.add("broken_class", shortened(entry))
        else:
            classes[number] = name
    return classes


def _note_similar(names: Iterable[str], report: Report) -> None:
    """Note classes that may be one, which several people have written."""
    *_, folded = SPELLINGS
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
        self._type: type | None = None
        self._report = report

    def take(self, entry: Any, text: Text | None) -> None:
        """Check one entry."""
        number = entry.get("id") if isinstance(entry, dict) else None
        if type(number) not in (int, str):
            self._report.add("broken_image", f"no id in {shortened(entry)}")
            return
        # Detectron2 sorts images by their ids
        self._type = self._type or type(number)
        if type(number) is not self._type:
            self._report.add("broken_image", f"id {number!r} among ids of another type")
            self.gone.add(number)
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
            self.kept[number] = entry
            if text is not None:
                self.texts[number] = text
            self._by_file[file] = number

    def look_at_files(self, root: str, depth: Depth) -> None:
        """Drop images that are missing, unreadable, or of another size than annotated."""
        files = find_files(Listing(), root, self._by_file, self._report)
        paths: dict[Any, str] = {}
        for number, entry in list(self.kept.items()):
            name = os.path.normpath(entry["file_name"])
            file = files.get(name)
            paths[number] = os.path.join(root, file or name)
            if not file:
                if file is not None:
                    self._report.add("missing_image", paths[number])
                self._drop(number)
            elif file != entry["file_name"]:
                self.kept[number] = {**entry, "file_name": file}
                self.texts.pop(number, None)
        there = [number for number in paths if number in self.kept]
        if depth == Depth.NAMES:
            return
        sizes = look([paths[number] for number in there], self._report.name, depth)
        for number, size in zip(there, sizes, strict=True):
            entry = self.kept[number]
            annotated = (entry["width"], entry["height"])
            if isinstance(size, str):
                self._report.add("unreadable_image", f"{paths[number]}: {size}")
                self._drop(number)
            elif size != annotated:
                text = "{} x {}, annotated as {} x {}".format(*size, *annotated)
                self._report.add("wrong_size", f"{paths[number]} is {text}")
                self._drop(number)

    def _drop(self, number: Any) -> None:
        for one in (number, *(n for n, first in self.same_as.items() if first == number)):
            self.kept.pop(one, None)
            self.same_as.pop(one, None)
            self.gone.add(one)


def _fault(entry: Mapping[str, Any]) -> str:
    for key in ("file_name", "width", "height"):
        if key not in entry:
            return f"lacks '{key}'"
    name, width, height = entry["file_name"], entry["width"], entry["height"]
    if not isinstance(name, str) or not name:
        return f"has the file_name {name!r}"
    if has_hidden_part(name):
        return f"is the hidden file {shortened(name)}"
    if not all(isinstance(v, (int, float)) and v > 0 for v in (width, height)):
        return f"has a size of {width} x {height}"
    return ""
