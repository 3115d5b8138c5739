"""Data sets in COCO's panoptic format, with or without the annotations of their objects."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from robust_det.core.errors import UserError
from robust_det.core.memory import without_garbage_collection
from robust_det.data.detection.canonical.identifiers import Identifiers
from robust_det.data.detection.checking.checks import check_document
from robust_det.data.detection.checking.images import Depth, look
from robust_det.data.detection.checking.listing import Listing, find_files
from robust_det.data.detection.checking.report import Report
from robust_det.data.detection.checking.terms import EVERYTHING, Terms
from robust_det.data.detection.map_notes import MapNotes, fingerprint
from robust_det.data.detection.readers.coco_json import CocoSource
from robust_det.data.detection.segments import no_segments, read_panoptic, semantic_places
from robust_det.data.detection.source import Panoptic, Reading
from robust_det.data.places import nowhere

__all__ = ["PanopticSource"]


@dataclass(frozen=True)
class PanopticSource:
    """Segments of things and stuff, and the semantic maps that ``robust-det panoptic`` makes.

    Attributes:
        panoptic_json, panoptic_root: the annotations, and the folder of their PNG files.
        stuff_root: folder of the semantic maps, which have the names of those PNG files.
        image_root: folder of the images.
        json_file: annotations of the objects, which detectors are trained on and scored by; empty
            for stuff alone.
        published: whether Detectron2 registers it, see :class:`.Kind`.
        terms: what the run wants of ``json_file``.
    """

    panoptic_json: str
    panoptic_root: str
    stuff_root: str
    image_root: str
    json_file: str = ""
    published: bool = False
    terms: Terms = EVERYTHING

    def read(self, name: str, depth: Depth | None = None) -> Reading:
        """See :class:`.Source`. Without ``json_file``, segments count as objects."""
        if depth is None:
            depth = Depth.NAMES if self.published else Depth.HEADERS
        with without_garbage_collection():
            panoptic, sha256 = read_panoptic(self.panoptic_json, name)
            reading = self._objects(panoptic, name, depth)
            notes = MapNotes.of(self.stuff_root)
            if sha256 in notes.annotations:
                notes = MapNotes()
            segments = self._segments(panoptic, notes, reading, name, depth)
        return replace(
            reading,
            images=reading.images.with_segments(segments),
            panoptic=Panoptic(
                self.panoptic_json,
                self.panoptic_root,
                self.stuff_root,
                panoptic["categories"],
                sha256,
            ),
        )

    def _objects(self, panoptic: Mapping[str, Any], name: str, depth: Depth) -> Reading:
        if not self.json_file:
            if not Path(self.image_root).is_dir():
                raise UserError(f"data set '{name}' has no image folder {nowhere(self.image_root)}")
            report = Report(name, self.published)
            document = {**panoptic, "annotations": list(_as_objects(panoptic))}
            images = check_document(document, self.image_root, report, depth)
            return Reading(images, panoptic["categories"], self.image_root, report)
        objects = CocoSource(self.json_file, self.image_root, self.published, self.terms)
        reading = objects.read(name, depth)
        if reading.report.count("broken_class"):
            return reading
        things = {(c["id"], str(c["name"])) for c in panoptic["categories"] if c["isthing"]}
        if things != {(c["id"], str(c["name"])) for c in reading.categories}:
            raise UserError(
                f"data set '{name}': the things of {self.panoptic_json} are not the categories of"
                f" {self.json_file}; both need the same ids and names"
            )
        return reading

    def _segments(
        self,
        panoptic: Mapping[str, Any],
        notes: MapNotes,
        reading: Reading,
        name: str,
        depth: Depth,
    ) -> dict[int, dict[str, Any]]:
        """Return the annotation of each image that has all it needs, by the image's number."""
        places = semantic_places(panoptic["categories"])
        files = {a["image_id"]: a for a in panoptic["annotations"]}
        ids, listing, segments, unmade, outdated = Identifiers(files), Listing(), {}, 0, 0
        names = dict.fromkeys(a["file_name"] for a in files.values())
        found = find_files(listing, self.panoptic_root, names, reading.report)
        if names and not any(found.get(name, name) for name in names):
            raise no_segments(name, list(names), self.panoptic_root)
        for image, original in reading.images.heads():
            annotation = files.get(ids.find(original))
            if annotation is None:
                reading.report.add("missing_segments", f"none for {image['file_name']}")
                continue
            file = found.get(annotation["file_name"])
            if file is None:
                continue
            annotation = {**annotation, "file_name": file or annotation["file_name"]}
            path = os.path.join(self.panoptic_root, annotation["file_name"])
            strange = {s["category_id"] for s in annotation["segments_info"]} - places.keys()
            if strange:
                reading.report.add("unknown_segment", f"{sorted(strange)[0]} in {path}")
            elif not file:
                reading.report.add("missing_segments", path)
            else:
                unmade += not listing.has(os.path.join(self.stuff_root, file))
                if file in notes.maps:
                    outdated += not notes.agree(file, fingerprint(annotation, places))
                segments[image["id"]] = annotation
        if unmade:
            raise UserError(
                f"data set '{name}' lacks the semantic maps of {unmade} images in"
                f" {self.stuff_root}; robust-det panoptic --config CONFIG makes them"
            )
        if outdated:
            raise UserError(
                f"data set '{name}': {outdated} semantic maps in {self.stuff_root} were made from"
                f" other annotations than {self.panoptic_json}; robust-det panoptic --config CONFIG"
                " makes them anew"
            )
        if depth > Depth.NAMES:
            self._check_sizes(reading, segments, depth)
        return segments

    def _check_sizes(
        self, reading: Reading, segments: dict[int, dict[str, Any]], depth: Depth
    ) -> None:
        maps = {n: os.path.join(self.stuff_root, a["file_name"]) for n, a in segments.items()}
        sizes = {i["id"]: (i["width"], i["height"]) for i, _ in reading.images.heads()}
        looked = look(list(maps.values()), f"{reading.report.name}: semantic maps", depth)
        for (number, path), size in zip(maps.items(), looked, strict=True):
            if isinstance(size, str):
                reading.report.add("unreadable_image", f"{path}: {size}")
                del segments[number]
            elif size != sizes[number]:
                text = "{} x {}, its image {} x {}".format(*size, *sizes[number])
                reading.report.add("segments_size", f"{path} is {text}")
                del segments[number]


def _as_objects(panoptic: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """Give the segments as objects in COCO's format, with ids of their own."""
    number = 0
    for annotation in panoptic["annotations"]:
        for segment in annotation["segments_info"]:
            number += 1
            yield {**segment, "id": number, "image_id": annotation["image_id"]}
