"""Data sets in the layout of YOLO, as Ultralytics reads it."""

from __future__ import annotations

import math
import os
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from robust_det.core.errors import UserError
from robust_det.data.detection.checking.checks import check_document
from robust_det.data.detection.checking.images import SUFFIXES, Depth, look
from robust_det.data.detection.checking.leftovers import note_leftovers, unread_images
from robust_det.data.detection.checking.listing import Listing
from robust_det.data.detection.checking.report import Report
from robust_det.data.detection.checking.terms import EVERYTHING, Terms
from robust_det.data.detection.readers.texts import read_text
from robust_det.data.detection.readers.yolo_images import label_files, label_folders
from robust_det.data.detection.readers.yolo_layout import read_layout
from robust_det.data.detection.source import Reading, object_entry
from robust_det.data.places import nowhere
from robust_det.data.walking import walk

__all__ = ["YoloSource"]

# as many labels as cannot all look like poses by chance
_LINES = 10
_MOST = 2  # of a number; a little above 1 is a box outside of its image
# parts of a rectangle's diagonal: labels are rounded
_NEAR = 0.01


@dataclass(frozen=True)
class YoloSource:
    """Images with a ``.txt`` file each: in the folder ``labels`` if the image is in ``images``, or
    beside it. An image without one shows nothing.

    A line is ``class cx cy width height`` or, for a mask, ``class x1 y1 x2 y2 x3 y3 ...``, in parts
    of the image's width and height. Poses are refused; oriented boxes, of four corners, are read as
    masks, with a note.

    Attributes:
        path, split, classes: see :func:`~.yolo_layout.read_layout`.
        terms: what the run wants.
    """

    path: str
    split: str
    classes: tuple[str, ...] = ()
    terms: Terms = EVERYTHING

    def read(self, name: str, depth: Depth | None = None) -> Reading:
        """See :class:`.Source`."""
        report = Report(name)
        if not os.path.exists(self.path):
            raise UserError(f"data set '{name}' has no {nowhere(self.path)}")
        layout = read_layout(Path(self.path), self.split, name, self.classes, report)
        paths = list(dict.fromkeys(layout.images))
        for path, times in Counter(layout.images).items():
            if times > 1:
                report.add("duplicate_file", path)
        if not paths:
            self._explain_nothing(name)
        root = _common_folder(paths) or str(Path(self.path).absolute())
        missing = Listing().missing(paths)
        there = [path for path in paths if path not in missing]
        looked = look(there, name, max(depth or Depth.HEADERS, Depth.HEADERS), report)
        sizes = dict(zip(there, looked, strict=True))
        reader = _Labels(layout.classes, report)
        labels = label_files(paths, report)
        shared = Counter(filter(None, labels.values()))
        for path, label in labels.items():
            if shared[label] > 1:
                report.add("shared_label", path)
        note_leftovers(paths, label_folders(labels), report)
        for path in paths:
            size = sizes.get(path, (1, 1))
            if isinstance(size, str):
                report.add("unreadable_image", f"{path}: {size}")
                continue
            if path in labels:
                reader.add(os.path.relpath(path, root), size, labels[path])
        reader.conclude(name)
        categories = [{"id": n, "name": c} for n, c in enumerate(layout.classes, 1)]
        document = {
            "images": reader.images,
            "annotations": reader.annotations,
            "categories": categories,
        }
        images = check_document(document, root, report, Depth.NAMES, self.terms)
        return Reading(images, categories, root, report)

    def _explain_nothing(self, name: str) -> None:
        """Refuse a split whose images are all in formats that are not read."""
        folder = self.path if os.path.isdir(self.path) else os.path.dirname(self.path)
        unread = unread_images(os.path.join(p, f) for p, _, fs in walk(folder) for f in fs)
        if unread:
            raise UserError(
                f"data set '{name}' has no image that is read in its split '{self.split}', and"
                f" {len(unread)} in other formats below {folder} (first: {unread[0]})",
                f"convert them to one of {', '.join(SUFFIXES)}",
            )


def _common_folder(paths: list[str]) -> str:
    return os.path.commonpath([os.path.dirname(path) for path in paths]) if paths else ""


class _Labels:
    """Turns label files into the images and annotations of a COCO document."""

    def __init__(self, classes: tuple[str, ...], report: Report) -> None:
        self.images: list[dict[str, Any]] = []
        self.annotations: list[dict[str, Any]] = []
        self._classes = len(classes)
        self._report = report
        self._poses = _Poses()
        self._oriented: list[str] = []  # where there are rectangles that are turned

    def conclude(self, name: str) -> None:
        """Say what the labels of a data set look like together.

        Raises:
            UserError: they are poses.
        """
        if points := self._poses.points():
            raise UserError(
                f"data set '{name}': its labels look like poses, each a box and {points}; boxes and"
                " masks are read",
                "keep the first five numbers of each line",
            )
        if 2 * len(self._oriented) >= len(self.annotations) > 0:
            self._report.add("oriented_box", self._oriented[0], len(self._oriented))

    def add(self, name: str, size: tuple[int, int], file: str) -> None:
        """Add an image and its objects, which are in a file, or none if that is empty."""
        number = len(self.images) + 1
        lines: list[str] = []
        if file:
            try:
                lines = read_text(file).splitlines()
            except (OSError, ValueError) as error:
                self._report.add("broken_file", f"{file}: {' '.join(str(error).split())}")
                return
        self.images.append({"id": number, "file_name": name, "width": size[0], "height": size[1]})
        for row, line in enumerate(lines, 1):
            if not line.strip():
                continue
            try:
                self._object(line.split(), number, size, f"line {row} of {file}")
            except ValueError as error:
                self._report.add("broken_object", f"line {row} of {file}: {error}")

    def _object(self, words: list[str], image: int, size: tuple[int, int], where: str) -> None:
        self._poses.add(words)
        if len(words) < 5 or len(words) % 2 == 0:
            raise ValueError(f"{len(words)} numbers, not class and box or class and polygon")
        label, *values = (float(word) for word in words)
        if not all(math.isfinite(value) for value in (label, *values)):
            raise ValueError("a number is not finite")
        if label != int(label) or not 0 <= label < self._classes:
            self._report.add("unknown_class", f"class {words[0]} in {where}")
            return
        width, height = size
        number, category = len(self.annotations) + 1, int(label) + 1
        if max(map(abs, values)) > _MOST:
            self._report.add("pixel_label", f"{where}: {' '.join(words[:5])}")
            return
        if len(values) == 4:
            x, y, w, h = values
            box = ((x - w / 2) * width, (y - h / 2) * height, w * width, h * height)
            self.annotations.append(object_entry(number, image, category, _rounded(box)))
            return
        xs = [x * width for x in values[0::2]]
        ys = [y * height for y in values[1::2]]
        if _is_turned_rectangle(xs, ys):
            self._oriented.append(where)
        left, top = min(xs), min(ys)
        entry = object_entry(
            number, image, category, _rounded((left, top, max(xs) - left, max(ys) - top))
        )
        entry["segmentation"] = [_rounded([v for point in zip(xs, ys, strict=True) for v in point])]
        entry["area"] = round(_polygon_area(xs, ys), 4)
        self.annotations.append(entry)


class _Poses:
    """Tells whether all labels longer than a box are boxes with keypoints, of one number."""

    def __init__(self) -> None:
        self._length = 0
        self._lines = 0
        self._marked = self._plain = True  # with and without a number that says what is visible

    def add(self, words: list[str]) -> None:
        """Look at a line: class, box and the rest."""
        if len(words) <= 5 or not (self._marked or self._plain):
            return
        self._lines += 1
        values = [float(word) for word in words[1:]]
        box, rest = values[:4], values[4:]
        same = self._length in (0, len(words))
        self._length = len(words)
        marks = rest[2::3]
        self._marked &= (
            (same and len(rest) % 3 == 0 and set(marks) <= {0, 1, 2})
            # what is not visible is anywhere
            and _surrounds(
                box,
                [v for v, mark in zip(rest[::3], marks, strict=True) if mark],
                [v for v, mark in zip(rest[1::3], marks, strict=True) if mark],
            )
        )
        self._plain &= same and len(rest) % 2 == 0 and _surrounds(box, rest[::2], rest[1::2])

    def points(self) -> str:
        """Return what follows the boxes in words; empty if these are no poses."""
        rest = self._length - 5
        if self._lines and self._marked:
            return f"{rest // 3} keypoints of three numbers"
        # a few polygons can look so by chance
        if self._lines >= _LINES and self._plain:
            return f"{rest // 2} keypoints of two numbers"
        return ""


def _surrounds(box: list[float], xs: list[float], ys: list[float]) -> bool:
    """Tell whether points are in a box, or as far from its middle as it is large."""
    x, y, w, h = box
    return w > 0 and h > 0 and all(abs(v - x) <= w for v in xs) and all(abs(v - y) <= h for v in ys)


def _is_turned_rectangle(xs: list[float], ys: list[float]) -> bool:
    if len(xs) != 4:
        return False
    a, b, c, d = (complex(x, y) for x, y in zip(xs, ys, strict=True))
    near = _NEAR * max(abs(c - a), abs(d - b))
    is_rectangle = abs(a + c - b - d) <= near and abs(abs(c - a) - abs(d - b)) <= near
    side = b - a
    return is_rectangle and min(abs(side.real), abs(side.imag)) > near


def _rounded(values: Any) -> list[float]:
    # labels have six digits; so the same labels give the same file on any machine
    return [round(value, 4) for value in values]


def _polygon_area(xs: list[float], ys: list[float]) -> float:
    following = zip(xs, ys, [*xs[1:], xs[0]], [*ys[1:], ys[0]], strict=True)
    return abs(sum(x * v - u * y for x, y, u, v in following)) / 2
