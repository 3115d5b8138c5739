"""Data sets whose boxes are in a CSV file."""

from __future__ import annotations

import json
import math
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from robust_det.core.errors import UserError
from robust_det.data.detection.canonical.flags import as_flag
from robust_det.data.detection.checking.checks import check_document
from robust_det.data.detection.checking.images import Depth, look, other_size
from robust_det.data.detection.checking.report import Report
from robust_det.data.detection.checking.terms import EVERYTHING, Terms
from robust_det.data.detection.readers.tables.columns import (
    CENTRE,
    CORNERS,
    SIDES,
    Columns,
    find_columns,
)
from robust_det.data.detection.readers.tables.image_files import ImageFiles
from robust_det.data.detection.readers.tables.table import Row, Table, as_number, read_table
from robust_det.data.detection.source import ALL, Reading, object_entry
from robust_det.data.places import nowhere

__all__ = ["FRACTIONS", "PIXELS", "CsvSource"]

PIXELS, FRACTIONS = "pixels", "fractions"
# of fractions, which tools let leave the image a little; no box in pixels is so small
_MOST = 1.1
_FORMS = {
    CORNERS: "left, top, right, bottom",
    CENTRE: "middle, width, height",
    SIDES: "left, top, width, height",
}


@dataclass(frozen=True)
class _Box:
    """A row with an object: its class, the four numbers as written, and its marks."""

    label: str
    numbers: tuple[float, float, float, float]
    crowd: bool
    difficult: bool
    where: str


@dataclass(frozen=True)
class CsvSource:
    """A CSV file of boxes, one row each; a row with an image alone says that nothing is on it.

    Columns are told by their names: image, class, and ``xmin, ymin, xmax, ymax``, ``x, y, width,
    height`` (the upper left corner), ``x_center, y_center, width, height``, or one ``bbox`` with
    ``[x, y, width, height]``. Beside corners, ``width`` and ``height`` are the image's. Without a
    header, a row is ``path,x1,y1,x2,y2,class``. Numbers that are all within [0, 1] are parts of the
    image's width and height. What was decided is noted.

    Attributes:
        path: of the file.
        image_root: folder of the images; that of the file if empty. An image may be named without
            its suffix or folders.
        split: what the column ``split`` says of the rows that count; all of them if it is ``all``.
        classes: names in the order of their ids; if empty those of the whole file, sorted. One
            alone is that of all objects where there is no column of classes.
        units: ``pixels`` or ``fractions``; told from the numbers if empty.
        origin: coordinate of the first pixel. 0 takes corners as they are. 1 is VOC's, whose boxes
            include their last pixel: left and top become one less. 0 if None, and what looks like
            VOC's is noted.
        terms: what the run wants.
    """

    path: str
    image_root: str = ""
    split: str = ALL
    classes: tuple[str, ...] = ()
    units: str = ""
    origin: int | None = None
    terms: Terms = EVERYTHING

    def read(self, name: str, depth: Depth | None = None) -> Reading:
        """See :class:`.Source`."""
        report = Report(name)
        path, root = Path(self.path), self.image_root or os.path.dirname(self.path) or "."
        if not path.is_file():
            raise UserError(f"data set '{name}' has no {nowhere(self.path)}")
        if not os.path.isdir(root):
            raise UserError(f"data set '{name}' has no image folder {nowhere(root)}")
        table = read_table(path, name, report)
        columns = find_columns(table.header, f"data set '{name}': {path}")
        classes = self._classes(table, columns, name)
        rows = self._of_split(table, columns, name)
        boxes = self._boxes(rows, table, columns, report)
        units = self._units(boxes, columns, name)
        report.add("read_table", self._in_words(table, columns, units))
        if self.origin is None and units == PIXELS and columns.form == CORNERS:
            starts = [v for found in boxes.values() for box in found for v in box.numbers[:2]]
            if starts and min(starts) == 1:
                report.add("from_one", f"{starts.count(1)} of {len(starts)} in {path.name}")
        there = ImageFiles(root)
        files = there.find(boxes, report)
        if self.split == ALL:
            for file in sorted(there.names - set(files.values())):
                report.add("unlisted_image", file)
        sizes = self._sizes(rows, files, root, columns, table, report, depth)
        upright = partial(_upright, form=columns.form, origin=self.origin or 0)
        document = _document(boxes, files, sizes, classes, units == FRACTIONS, upright, report)
        images = check_document(document, root, report, Depth.NAMES, self.terms)
        return Reading(images, document["categories"], root, report)

    def _classes(self, table: Table, columns: Columns, name: str) -> tuple[str, ...]:
        if columns.label < 0:
            if len(self.classes) == 1:
                return self.classes
            raise UserError(
                f"data set '{name}': {self.path} has no column of classes, such as class or label",
                "add one, or give CLASSES with the one name that all objects have",
            )
        found = {cell for row in table.rows if (cell := _cell(row, columns.label))}
        if not found:
            raise UserError(f"data set '{name}': no row of {self.path} has a class")
        return self.classes or tuple(sorted(found))

    def _of_split(self, table: Table, columns: Columns, name: str) -> list[Row]:
        if self.split == ALL:
            return list(table.rows)
        if columns.split < 0:
            raise UserError(
                f"data set '{name}': {self.path} has no column split, set or subset; leave SPLIT"
                " out, or add the column"
            )
        rows = [row for row in table.rows if _cell(row, columns.split) == self.split]
        if not rows:
            known = sorted({_cell(row, columns.split) for row in table.rows} - {""})
            raise UserError(
                f"data set '{name}': no row of {self.path} is of the split '{self.split}'; there"
                f" are {', '.join(known)[:200]}"
            )
        return rows

    def _boxes(
        self, rows: Sequence[Row], table: Table, columns: Columns, report: Report
    ) -> dict[str, list[_Box]]:
        """Return the sound rows by the name of their image."""
        boxes: dict[str, list[_Box]] = {}
        for row in rows:
            image = _cell(row, columns.image)
            # spreadsheets end rows with empty cells
            too_long = any(row.cells[len(table.header) :])
            if too_long or len(row.cells) < len(table.header) or not image:
                cells = f"{len(row.cells)} cells, and the header has {len(table.header)}"
                what = cells if image else "no image"
                report.add("broken_object", f"{row.where} has {what}")
                continue
            found = boxes.setdefault(image, [])
            try:
                if (box := self._box(row, table, columns)) is not None:
                    found.append(box)
            except ValueError as error:
                report.add("broken_object", f"{row.where} {error}")
        return boxes

    def _box(self, row: Row, table: Table, columns: Columns) -> _Box | None:
        """Return what a row says; None if its image has nothing on it."""
        cells = [_cell(row, place) for place in columns.box]
        label = _cell(row, columns.label) if columns.label >= 0 else self.classes[0]
        if not any(cells) and (columns.label < 0 or not label):
            return None
        if not label:
            raise ValueError("has a box and no class")
        if len(cells) == 1:
            numbers = _listed(cells[0])
        else:
            names = [table.header[place] for place in columns.box]
            numbers = [
                _number(cell, name, table.comma) for cell, name in zip(cells, names, strict=True)
            ]
        left, top, third, fourth = numbers
        if columns.form == CORNERS and (third < left or fourth < top):
            raise ValueError(f"has a box that ends at {third:g}, {fourth:g} before it begins")
        crowd, difficult = (
            place >= 0 and as_flag(_cell(row, place), table.header[place])
            for place in (columns.crowd, columns.difficult)
        )
        return _Box(label, (left, top, third, fourth), crowd, difficult, row.where)

    def _units(self, boxes: Mapping[str, list[_Box]], columns: Columns, name: str) -> str:
        numbers = [v for found in boxes.values() for box in found for v in box.numbers]
        small = bool(numbers) and max(numbers) <= _MOST and min(numbers) >= 1 - _MOST
        whole = all(value == int(value) for value in numbers)
        if self.units == FRACTIONS and not small and numbers:
            worst = max(numbers, key=abs)
            where = next(b.where for f in boxes.values() for b in f if worst in b.numbers)
            raise UserError(
                f"data set '{name}': {where} has {worst:g}, which is no fraction; set UNITS pixels,"
                " or leave it out"
            )
        if self.units:
            units = self.units
        elif small and whole:
            raise UserError(
                f"data set '{name}': all boxes of {self.path} are of 0 and 1, which can be pixels"
                " or parts of the image; give UNITS pixels or fractions"
            )
        else:
            units = FRACTIONS if small else PIXELS
        if self.origin and (units == FRACTIONS or columns.form != CORNERS):
            raise UserError(
                f"data set '{name}': ORIGIN 1 has a meaning for corners in pixels, and {self.path}"
                f" has {_FORMS[columns.form]} in {units}; leave it out"
            )
        return units

    def _in_words(self, table: Table, columns: Columns, units: str) -> str:
        header = table.header
        names = ", ".join(header[place] for place in columns.box)
        parts = [f"{header[columns.image]} is the image"]
        if table.headerless:
            parts = ["no header, so path,x1,y1,x2,y2,class"]
        if columns.label >= 0:
            parts.append(f"{header[columns.label]} the class")
        origin = f" from {self.origin or 0}" if units == PIXELS else ""
        parts.append(f"{names} are {_FORMS[columns.form]} in {units}{origin}")
        if columns.size:
            parts.append(f"{', '.join(header[p] for p in columns.size)} the image's size")
        if columns.others:
            parts.append(f"not read: {', '.join(columns.others)[:200]}")
        return f"{Path(self.path).name}: {'; '.join(parts)}"

    def _sizes(
        self,
        rows: Sequence[Row],
        files: Mapping[str, str],
        root: str,
        columns: Columns,
        table: Table,
        report: Report,
        depth: Depth | None,
    ) -> dict[str, tuple[int, int]]:
        """Return the sizes of images that are sound, by file, and of missing ones, which are found
        later."""
        there = [f for f in dict.fromkeys(files.values()) if os.path.exists(os.path.join(root, f))]
        paths = [os.path.join(root, file) for file in there]
        looked = look(paths, report.name, max(depth or Depth.HEADERS, Depth.HEADERS), report)
        found = dict(zip(there, looked, strict=True))
        written = self._written_sizes(rows, files, columns, table)
        sizes: dict[str, tuple[int, int]] = {}
        for file in dict.fromkeys(files.values()):
            size, path = found.get(file, (1, 1)), os.path.join(root, file)
            if isinstance(size, str):
                report.add("unreadable_image", f"{path}: {size}")
            elif file in found and written.get(file, size) != size:
                report.add("wrong_size", other_size(path, size, written[file]))
            else:
                sizes[file] = size
        return sizes

    def _written_sizes(
        self, rows: Sequence[Row], files: Mapping[str, str], columns: Columns, table: Table
    ) -> dict[str, tuple[int, int]]:
        if not columns.size:
            return {}
        sizes: dict[str, tuple[int, int]] = {}
        for row in rows:
            file = files.get(_cell(row, columns.image))
            width, height = (as_number(_cell(row, p), table.comma) for p in columns.size)
            if file is not None and width and height and math.isfinite(width + height):
                sizes.setdefault(file, (int(width), int(height)))
        return sizes


def _document(
    boxes: Mapping[str, list[_Box]],
    files: Mapping[str, str],
    sizes: Mapping[str, tuple[int, int]],
    classes: Sequence[str],
    scaled: bool,
    upright: Callable[..., list[float]],
    report: Report,
) -> dict[str, Any]:
    numbers = {file: number for number, file in enumerate(sorted(sizes), 1)}
    ids = {name: number for number, name in enumerate(classes, 1)}
    annotations: list[dict[str, Any]] = []
    for image, found in boxes.items():
        file = files.get(image, "")
        for box in found if file in sizes else ():
            if box.label not in ids:
                report.add("unknown_class", f"'{box.label}' in {box.where}")
                continue
            place = upright(box.numbers, scale=sizes[file] if scaled else (1, 1))
            entry = object_entry(0, numbers[file], ids[box.label], place, box.difficult)
            # messages name an object by its id
            annotations.append({**entry, "id": f"in {box.where}", "iscrowd": int(box.crowd)})
    images = [
        {"id": n, "file_name": file, "width": sizes[file][0], "height": sizes[file][1]}
        for file, n in numbers.items()
    ]
    categories = [{"id": number, "name": name} for name, number in ids.items()]
    return {"images": images, "annotations": annotations, "categories": categories}


def _cell(row: Row, place: int) -> str:
    return row.cells[place] if 0 <= place < len(row.cells) else ""


def _number(text: str, name: str, comma: bool) -> float:
    number = as_number(text, comma)
    if number is None or not math.isfinite(number):
        raise ValueError(f"has the {name} '{text[:40]}'")
    return number


def _listed(text: str) -> list[float]:
    """Return the numbers of a box in one cell, such as ``[834.0, 222.0, 56.0, 36.0]``."""
    try:
        numbers = json.loads(f"[{text.strip('[]() ')}]".replace(";", ","))
        if len(numbers) == 4 and all(math.isfinite(float(n)) for n in numbers):
            return [float(n) for n in numbers]
    except (ValueError, TypeError):
        pass
    raise ValueError(f"has the box '{text[:60]}', and not four numbers")


def _upright(
    numbers: tuple[float, float, float, float], form: str, origin: int, scale: tuple[int, int]
) -> list[float]:
    """Return ``[x, y, width, height]`` in pixels."""
    a, b, c, d = numbers
    if form == CORNERS:
        a, b = a - origin, b - origin
        c, d = c - a, d - b
    elif form == CENTRE:
        a, b = a - c / 2, b - d / 2
    width, height = scale
    box = (a * width, b * height, c * width, d * height)
    # so the same table gives the same file on any machine
    return [round(value, 4) for value in box]
