"""Data sets whose objects are masks in a folder of images."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from robust_det.core.errors import FileError, UserError, naming, reason_of
from robust_det.core.progress import progress_bar
from robust_det.data.detection.checking.checks import check_document
from robust_det.data.detection.checking.images import Depth, look
from robust_det.data.detection.checking.report import Report
from robust_det.data.detection.readers.masks.mask_files import as_object, components, read_mask
from robust_det.data.detection.readers.masks.mask_places import MaskFile, mask_places
from robust_det.data.detection.source import Reading
from robust_det.data.places import nowhere

__all__ = ["INSTANCES", "KINDS", "OBJECTS", "VALUES", "MaskSource"]

INSTANCES, OBJECTS, VALUES = "instances", "objects", "values"
KINDS = (INSTANCES, OBJECTS, VALUES)
_THREADS = 8
_WORTH_A_BAR = 500
_BORDER = 255


@dataclass(frozen=True)
class MaskSource:
    """Images, and masks that are called as they are, see :func:`~.mask_places.mask_places`.

    Attributes:
        mask_root, image_root: folders.
        kind: what the numbers in masks mean. ``instances``: each number is one object.
            ``objects``: a file for each object, which is what is not 0. ``values``: each number is
            what ``values`` says, one object of each class on an image.
        classes: of ``instances`` and ``objects``: one name for all, or those of folders in the
            folder of masks, in the order of their ids; empty for these, sorted.
        values: of ``values``: pairs of a number and a class, in the order of the classes' ids.
            Several numbers may be one class.
        background: of ``instances`` and ``values``: the numbers that are nothing; empty for 0
            alone.
        components: of ``values``: whether parts that do not touch are objects of their own.
    """

    mask_root: str
    image_root: str
    kind: str
    classes: tuple[str, ...] = ()
    values: tuple[tuple[int, str], ...] = ()
    background: tuple[int, ...] = ()
    components: bool = False

    def read(self, name: str, depth: Depth | None = None) -> Reading:
        """See :class:`.Source`."""
        report = Report(name)
        for folder in (self.mask_root, self.image_root):
            if not os.path.isdir(folder):
                raise UserError(f"data set '{name}' has no folder {nowhere(folder)}")
        several = self.kind == OBJECTS
        places = mask_places(self.mask_root, self.image_root, several, name, report)
        of_image = places.of_image
        if not several:
            for file in [file for file, masks in of_image.items() if not masks]:
                report.add("unmasked_image", file)
            of_image = {file: masks for file, masks in of_image.items() if masks}
        if not any(of_image.values()):
            raise UserError(
                f"data set '{name}' has no mask below {self.mask_root} that is called as an image"
                f" below {self.image_root}"
            )
        classes = self._classes(of_image, name)
        paths = [os.path.join(self.image_root, file) for file in of_image]
        looked = look(paths, name, max(depth or Depth.HEADERS, Depth.HEADERS), report)
        sizes = dict(zip(of_image, looked, strict=True))
        document = self._document(of_image, sizes, classes, name, report)
        masks = sum(map(len, of_image.values()))
        report.add("read_masks", self._in_words(places.rest, masks, len(document["annotations"])))
        images = check_document(document, self.image_root, report, Depth.NAMES)
        return Reading(images, document["categories"], self.image_root, report)

    def _classes(self, of_image: Mapping[str, Sequence[MaskFile]], name: str) -> tuple[str, ...]:
        if self.kind == VALUES:
            return tuple(dict.fromkeys(label for _, label in self.values))
        masks = [mask for own in of_image.values() for mask in own]
        labels = {mask.label for mask in masks}
        if len(self.classes) == 1 and (not all(labels) or not labels & {*self.classes}):
            return self.classes
        if "" in labels:
            bare = next(mask.file for mask in masks if not mask.label)
            raise UserError(
                f"data set '{name}': nothing says what is on the mask {bare}; give CLASSES with the"
                f" one name that all objects have, or a folder for each class in {self.mask_root}"
            )
        return self.classes or tuple(sorted(labels))

    def _in_words(self, rest: str, masks: int, objects: int) -> str:
        said = {
            INSTANCES: f"each number but {' and '.join(map(str, self.background or (0,)))} is an"
            " object",
            OBJECTS: "each file is an object",
            VALUES: "each part that touches no other is an object"
            if self.components
            else "all that is of a class on an image is one object",
        }[self.kind]
        if self.kind == INSTANCES and objects <= masks:
            said += (
                "; there is no more than one on each mask, parts that do not touch included: KIND"
                " values with COMPONENTS True would take these apart"
            )
        called = f"; they are called as images, with {rest} behind" if rest else ""
        return f"{self.mask_root}: {said}{called}"

    def _document(
        self,
        of_image: Mapping[str, Sequence[MaskFile]],
        sizes: Mapping[str, tuple[int, int] | str],
        classes: Sequence[str],
        name: str,
        report: Report,
    ) -> dict[str, Any]:
        ids = {label: number for number, label in enumerate(classes, 1)}
        images: list[dict[str, Any]] = []
        annotations: list[dict[str, Any]] = []
        jobs: list[tuple[int, tuple[int, int], MaskFile]] = []
        for file in of_image:
            size = sizes[file]
            if isinstance(size, str):
                report.add("unreadable_image", f"{os.path.join(self.image_root, file)}: {size}")
                continue
            images.append(
                {"id": len(images) + 1, "file_name": file, "width": size[0], "height": size[1]}
            )
            jobs += [(len(images), size, mask) for mask in of_image[file]]
        # one class is that of all masks, unless folders are classes and it is one of them
        by_folder = (
            self.kind == VALUES or len(classes) > 1 or any(m.label in ids for _, _, m in jobs)
        )
        shown = len(jobs) >= _WORTH_A_BAR
        with (
            progress_bar(len(jobs), f"read {name}", "masks", shown) as bar,
            ThreadPoolExecutor(_THREADS) as pool,
        ):
            found = pool.map(lambda job: self._objects(job[2], job[1]), jobs)
            for (image, _, mask), result in zip(jobs, found, strict=True):
                if isinstance(result, str):
                    kind, _, text = result.partition(" ")
                    report.add(kind, text)
                for of, entry, which in () if isinstance(result, str) else result:
                    label = of if by_folder else classes[0]
                    if label not in ids:
                        report.add("unknown_class", f"'{label}' of {mask.file}")
                        continue
                    category = ids[label]
                    marks = {"image_id": image, "category_id": category, "id": which}
                    annotations.append({**entry, **marks})
                bar.update()
        categories = [{"id": number, "name": label} for label, number in ids.items()]
        return {"images": images, "annotations": annotations, "categories": categories}

    def _objects(
        self, mask: MaskFile, size: tuple[int, int]
    ) -> list[tuple[str, dict[str, Any], str]] | str:
        """Return class, entry and words for each object of a mask; or the kind of finding and its
        example.

        Raises:
            FileError: it is not what ``kind`` says.
        """
        path = Path(self.mask_root, mask.file)
        with naming(f"the mask {path}"):
            try:
                values = read_mask(path)
            except FileError:
                raise
            except Exception as error:  # Pillow's readers raise anything on a broken file
                return f"broken_file {path}: {reason_of(error)}"
            height, width = values.shape
            if (width, height) != size:
                return f"mask_size {path} is {width} x {height}, its image {size[0]} x {size[1]}"
            parts = self._parts(values, mask.label)
            return [
                (c, as_object(part), f"{n} in {mask.file}") for n, (c, part) in enumerate(parts, 1)
            ]

    def _parts(
        self, values: NDArray[np.int64], label: str
    ) -> Iterator[tuple[str, NDArray[np.bool_]]]:
        """Give class and place of each object."""
        numbers = [int(number) for number in np.unique(values)]
        nothing = self.background or (0,)
        if self.kind == INSTANCES:
            objects = [number for number in numbers if number not in nothing]
            if not self.background and objects[:-1] and _is_border(objects):
                raise FileError(
                    f"has the objects 1 to {len(objects) - 1}, and {_BORDER}, which is VOC's border"
                    " between objects",
                    f"give BACKGROUND [0, {_BORDER}], or [0] if it is an object",
                )
            for number in objects:
                yield label, values == number
            return
        if self.kind == OBJECTS:
            if len([n for n in numbers if n]) > 1:
                raise FileError(
                    f"has {len(numbers)} different values, and that of one object has 0 and one"
                    " other",
                    f"cut it off at one value, or set KIND {INSTANCES}",
                )
            if numbers != [0]:
                yield label, values != 0
            return
        known = dict(self.values)
        strange = [n for n in numbers if n not in known and n not in nothing]
        if strange:
            listed = ", ".join(map(str, strange[:6]))
            raise FileError(
                f"has the value{'s' if len(strange) > 1 else ''} {listed}, which neither VALUES nor"
                " BACKGROUND names",
                "name each value there is",
            )
        for each in dict.fromkeys(known.values()):
            where = np.isin(values, [n for n in known if known[n] == each])
            if where.any():
                for part in components(where) if self.components else (where,):
                    yield each, part


def _is_border(objects: Sequence[int]) -> bool:
    """Return whether numbers are 1, 2, ... and, apart from these, that of VOC's border."""
    *others, last = objects
    return last == _BORDER and others == [*range(1, len(others) + 1)] and len(others) + 1 < _BORDER
