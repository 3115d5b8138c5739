"""Data sets as PASCAL VOC lays them out, with any class names."""

from __future__ import annotations

import hashlib
import os
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from robust_det.core.errors import UserError
from robust_det.data.detection.checking.checks import check_document
from robust_det.data.detection.checking.images import Depth, look, other_size
from robust_det.data.detection.checking.report import Report
from robust_det.data.detection.checking.stems import Stems, stem_parts
from robust_det.data.detection.readers.voc_layout import (
    EVERYWHERE,
    VocLayout,
    VocPlaces,
    read_layout,
)
from robust_det.data.detection.readers.voc_xml import VocImage, class_names, read_xml
from robust_det.data.detection.source import Reading, object_entry
from robust_det.data.places import looked_for, nowhere

__all__ = ["VocSource"]


@dataclass(frozen=True)
class VocSource:
    """``Annotations/*.xml``, ``ImageSets/Main/SPLIT.txt`` and ``JPEGImages``, or annotation files
    and images in other folders, see :func:`~.voc_layout.read_layout`.

    Objects marked difficult stay so: training keeps them, as Detectron2's VOC loader does, and
    evaluation ignores them, as VOC's does: neither finding nor missing them counts.

    Attributes:
        folder, split: where.
        classes: names in the order of their ids; if empty those of all annotations, sorted.
        origin: coordinate of the first pixel. 1 is VOC's, whose boxes include their last pixel:
            xmin and ymin become one less, as in Detectron2. 0 leaves coordinates as they are, for
            tools that count from 0.
        places: of what is elsewhere. Without ``folder``, that of annotations is needed.
        published: whether Detectron2 registers it: annotations say the sizes, images end in .jpg.
    """

    folder: str
    split: str
    classes: tuple[str, ...] = ()
    origin: int = 1
    published: bool = False
    places: VocPlaces = EVERYWHERE

    def read(self, name: str, depth: Depth | None = None) -> Reading:
        """See :class:`.Source`."""
        report = Report(name, self.published)
        for place in (self.folder, self.places.annotations, self.places.images):
            # of a folder that was looked for in one place, what is missing in it is said below
            if place == self.folder and len(looked_for(place)) == 1:
                continue
            if place and not os.path.isdir(place):
                raise UserError(f"data set '{name}' has no folder {nowhere(place)}")
        if (listed := self.places.split_file) and not os.path.isfile(listed):
            raise UserError(f"data set '{name}' has no list {nowhere(listed)}")
        folder = Path(self.folder or self.places.annotations)
        layout = read_layout(folder, self.split, name, report, self.places)
        whole = Report(name)
        classes = self.classes or class_names(
            [layout.folder / file for file in layout.annotations], whole
        )
        if not classes:
            found = ", ".join(finding.phrase() for finding in whole.problems)
            count = len(layout.annotations)
            if not count and layout.listed:
                raise UserError(
                    f"data set '{name}': none of the {len(layout.listed)} images of its split"
                    f" '{self.split}', such as {layout.listed[0][0]}, has an annotation file: there"
                    f" is no XML file below {layout.folder}",
                    "put them into Annotations there",
                )
            raise UserError(
                f"data set '{name}' has no objects in the {count} annotation files of"
                f" {layout.folder}{f': {found}' if found else ''}"
            )
        digest = hashlib.sha256("\n".join(listed for listed, _ in layout.listed).encode())
        list_file = Path(self.places.split_file or f"{self.split}.txt").name
        read: dict[str, VocImage] = {}
        times: Counter[str] = Counter()
        for listed, file in layout.listed:
            stem = layout.stem(file or listed)
            times[stem] += 1
            if times[stem] > 1:
                report.add("duplicate_file", f"{listed} in {list_file}")
                continue
            path = layout.annotation_file(file, stem)
            try:
                content = path.read_bytes()
            except (OSError, ValueError):
                report.add("missing_annotations", str(path))
                continue
            digest.update(content)
            if (image := read_xml(content, path, report)) is not None:
                read[stem] = image
        files = self._files(read, layout, report)
        sizes = self._sizes(name, files, read, layout, report, depth)
        document = self._document(read, files, sizes, classes, report)
        root = str(layout.image_root)
        images = check_document(document, root, report, Depth.NAMES)
        categories = document["categories"]
        return Reading(images, categories, root, report, sha256=digest.hexdigest())

    def _files(
        self, read: Mapping[str, VocImage], layout: VocLayout, report: Report
    ) -> dict[str, str]:
        """Return each image's file name, also that of a missing one; none where several fit."""
        if self.published:
            return {stem: f"{stem}.jpg" for stem in read}
        names, stems = set(layout.images), Stems(layout.images, layout.generic)
        files: dict[str, str] = {}
        for stem, image in read.items():
            folder, _, last = stem.rpartition("/")
            found = stems.find(f"{stem}.xml")
            # a name inside the annotation counts after that of the annotation: copies lie
            if len(found) > 1:
                found = [file for file in found if Path(file).name == image.file] or found
            if not found and (suffix := Path(image.file).suffix.lower()):
                other = stems.find(os.path.join(folder, image.file))
                found = [file for file in other if Path(file).suffix.lower() == suffix]
            if len(found) > 1:
                report.add("unclear_name", f"{stem}.xml can be of {' or '.join(found[:3])}")
            elif found:
                files[stem] = found[0]
                if stem_parts(found[0])[-1] != last:
                    report.add("other_name", f"the image of {stem}.xml is {found[0]}")
            else:
                own = image.file if Path(image.file).stem == last else f"{last}.jpg"
                files[stem] = os.path.join(folder, own)
        claims: dict[str, list[str]] = {}
        for stem, file in files.items():
            claims.setdefault(file, []).append(stem)
        for file, claimants in claims.items():
            exact = [s for s in claimants if s.rpartition("/")[2] == stem_parts(file)[-1]]
            for stem in claimants if len(claimants) > 1 else ():
                if exact != [stem]:
                    report.add("unclear_name", f"{stem}.xml and another are both of {file}")
                    del files[stem]
        if layout.complete:
            for file in sorted(names - set(files.values())):
                report.add("unannotated_image", file)
        return files

    def _sizes(
        self,
        name: str,
        files: Mapping[str, str],
        read: Mapping[str, VocImage],
        layout: VocLayout,
        report: Report,
        depth: Depth | None,
    ) -> dict[str, tuple[int, int]]:
        """Return the sizes of images that are sound, and of missing ones, which are found later."""
        if self.published and not depth:
            return {stem: image.size for stem, image in read.items()}
        root, sizes = layout.image_root, {}
        names = set(layout.images)
        there = [stem for stem, file in files.items() if file in names]
        looked = look([str(root / files[s]) for s in there], name, depth or Depth.HEADERS, report)
        found = dict(zip(there, looked, strict=True))
        for stem, file in files.items():
            written, path = read[stem].size, root / file
            size = found.get(stem, written)
            if isinstance(size, str):
                report.add("unreadable_image", f"{path}: {size}")
            elif stem in found and min(written) > 0 and size != written:
                report.add("wrong_size", other_size(str(path), size, written))
            else:
                # a missing image may lack a size as well, and is missing before all
                sizes[stem] = size if stem in found else (1, 1)
        return sizes

    def _document(
        self,
        read: Mapping[str, VocImage],
        files: Mapping[str, str],
        sizes: Mapping[str, tuple[int, int]],
        classes: Sequence[str],
        report: Report,
    ) -> dict[str, Any]:
        images: list[dict[str, Any]] = []
        annotations: list[dict[str, Any]] = []
        ids = {name: number for number, name in enumerate(classes, 1)}
        for stem, (width, height) in sizes.items():
            number = len(images) + 1
            images.append(
                {"id": number, "file_name": files[stem], "width": width, "height": height}
            )
            for thing in read[stem].objects:
                if thing.name not in ids:
                    report.add("unknown_class", f"'{thing.name}' in {stem}.xml")
                    continue
                left, top, right, bottom = thing.corners
                left, top = left - self.origin, top - self.origin
                box = (left, top, right - left, bottom - top)
                entry = object_entry(
                    len(annotations) + 1, number, ids[thing.name], box, thing.difficult
                )
                annotations.append(entry)
        return {
            "images": images,
            "annotations": annotations,
            "categories": [{"id": number, "name": name} for name, number in ids.items()],
        }
