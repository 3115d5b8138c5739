"""Data sets as PASCAL VOC lays them out, with any class names."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from robust_det.core.errors import UserError, did_you_mean
from robust_det.data.detection.checking.checks import check_document
from robust_det.data.detection.checking.images import SUFFIXES, Depth, Listing, look, other_size
from robust_det.data.detection.checking.report import Report
from robust_det.data.detection.readers.voc_xml import VocImage, class_names, read_xml
from robust_det.data.detection.source import Reading, object_entry

__all__ = ["VocSource"]


@dataclass(frozen=True)
class VocSource:
    """``Annotations/*.xml``, ``ImageSets/Main/SPLIT.txt`` and ``JPEGImages``.

    Objects marked difficult stay so: training keeps them, as Detectron2's VOC loader does, and
    evaluation ignores them, as VOC's does: neither finding nor missing them counts.

    Attributes:
        folder, split: where.
        classes: names in the order of their ids; if empty those of all annotations, sorted.
        origin: coordinate of the first pixel. 1 is VOC's, whose boxes include their last pixel:
            xmin and ymin become one less, as in Detectron2. 0 leaves coordinates as they are, for
            tools that count from 0.
        published: whether Detectron2 registers it: annotations say the sizes, images end in .jpg.
    """

    folder: str
    split: str
    classes: tuple[str, ...] = ()
    origin: int = 1
    published: bool = False

    def read(self, name: str, depth: Depth | None = None) -> Reading:
        """See :class:`.Source`."""
        report = Report(name, self.published)
        listed = self._listed(name)
        classes = self.classes or class_names(Path(self.folder, "Annotations"))
        if not classes:
            raise UserError(f"data set '{name}' has no objects in {self.folder}/Annotations")
        digest = hashlib.sha256("\n".join(listed).encode())
        read: dict[str, VocImage] = {}
        for stem in dict.fromkeys(listed):
            path = Path(self.folder, "Annotations", f"{stem}.xml")
            try:
                content = path.read_bytes()
            except (OSError, ValueError):
                report.add("missing_annotations", str(path))
                continue
            digest.update(content)
            if (image := read_xml(content, path, report)) is not None:
                read[stem] = image
        files = self._files(read)
        sizes = self._sizes(name, files, read, report, depth)
        document = self._document(read, files, sizes, classes, report)
        for stem, times in Counter(listed).items():
            if times > 1:
                report.add("duplicate_file", f"{stem} in {self.split}.txt")
        root = str(Path(self.folder, "JPEGImages"))
        images = check_document(document, root, report, Depth.NAMES)
        categories = document["categories"]
        return Reading(images, categories, root, report, sha256=digest.hexdigest())

    def _listed(self, name: str) -> list[str]:
        folder = Path(self.folder)
        for part in ("Annotations", "ImageSets/Main", "JPEGImages"):
            if not (folder / part).is_dir():
                raise UserError(
                    f"data set '{name}' has no folder {folder / part}; a VOC folder holds"
                    " Annotations, ImageSets/Main and JPEGImages, and DETECTRON2_DATASETS the"
                    " folder of data sets"
                )
        path = folder / "ImageSets/Main" / f"{self.split}.txt"
        if not path.is_file():
            splits = sorted(p.stem for p in path.parent.glob("*.txt"))
            raise UserError(
                f"data set '{name}' has no split {path}{did_you_mean(self.split, splits)}"
            )
        try:
            lines = [line.strip() for line in path.read_text(encoding="utf-8").splitlines()]
        except (OSError, ValueError) as error:
            raise UserError(f"data set '{name}': cannot read {path}: {error}") from error
        present = Listing().names(str(folder / "Annotations"))
        # the lists of one class have a second column; names of images may have spaces
        return [line if f"{line}.xml" in present else line.split()[0] for line in lines if line]

    def _files(self, read: Mapping[str, VocImage]) -> dict[str, str]:
        """Return each image's file name; files are listed once and told apart by their names."""
        if self.published:
            return {stem: f"{stem}.jpg" for stem in read}
        names = Listing().names(str(Path(self.folder, "JPEGImages")))
        by_stem: dict[str, str] = {}
        for file in sorted(names):
            if Path(file).suffix.lower() in SUFFIXES:
                by_stem.setdefault(Path(file).stem, file)
        files = {}
        for stem, image in read.items():
            # a name inside the annotation counts after that of the annotation: copies lie
            own = image.file if Path(image.file).stem == stem else ""
            candidates = (own, by_stem.get(stem, ""), image.file)
            files[stem] = next((f for f in candidates if f in names), own or f"{stem}.jpg")
        return files

    def _sizes(
        self,
        name: str,
        files: Mapping[str, str],
        read: Mapping[str, VocImage],
        report: Report,
        depth: Depth | None,
    ) -> dict[str, tuple[int, int]]:
        """Return the sizes of images that are sound, and of missing ones, which are found later."""
        if self.published and not depth:
            return {stem: image.size for stem, image in read.items()}
        root, sizes = Path(self.folder, "JPEGImages"), {}
        names = Listing().names(str(root))
        there = [stem for stem, file in files.items() if file in names]
        looked = look([str(root / files[s]) for s in there], name, depth or Depth.HEADERS, report)
        found = dict(zip(there, looked, strict=True))
        for stem, image in read.items():
            size, path = found.get(stem, image.size), root / files[stem]
            if isinstance(size, str):
                report.add("unreadable_image", f"{path}: {size}")
            elif stem in found and min(image.size) > 0 and size != image.size:
                report.add("wrong_size", other_size(str(path), size, image.size))
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
