"""Checks of the objects of a document in COCO format."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from robust_det.data.detection.annotation_file import Entries, Text, with_texts
from robust_det.data.detection.canonical.identifiers import Identifiers
from robust_det.data.detection.canonical.keypoints import canonical_keypoints
from robust_det.data.detection.checking.masks import TOLERANCE, check_mask
from robust_det.data.detection.checking.report import Report, shortened

__all__ = ["check_objects"]


def check_objects(
    annotations: Sequence[Any] | Entries,
    images: Mapping[Any, Mapping[str, Any]],
    same_as: Mapping[Any, Any],
    gone: set[Any],
    classes: set[Any],
    report: Report,
) -> Iterator[tuple[dict[str, Any], Text | None]]:
    """Check the annotations of a document; COCO has 860,000, so a sound one costs little.

    Args:
        annotations: the entries, whatever they are.
        images: the sound ones by id.
        same_as: the image that takes the objects of another.
        gone: images that were left out, whose objects go with them.
        classes: ids of the categories.
        report: what is found is added to it.

    Yields:
        The annotations with what is unsound left out, or replaced by a mended copy; and the text of
        those that are as they were, where they have one.
    """
    check = _Objects(images, same_as, gone, classes, report)
    for entry, text in with_texts(annotations):
        try:
            sound = check.one(entry)
        except KeyError as error:
            report.add("broken_object", f"{_which(entry)} lacks {error}")
            continue
        except (TypeError, ValueError, AttributeError, OverflowError, IndexError) as error:
            report.add("broken_object", f"{_which(entry)}: {error}")
            continue
        if sound is not None:
            yield sound, text if sound is entry else None


class _Objects:
    def __init__(
        self,
        images: Mapping[Any, Mapping[str, Any]],
        same_as: Mapping[Any, Any],
        gone: set[Any],
        classes: set[Any],
        report: Report,
    ) -> None:
        self._images, self._same_as, self._gone, self._classes = images, same_as, gone, classes
        self._image_ids = Identifiers([*images, *same_as, *gone])
        self._class_ids = Identifiers(classes)
        self._report = report
        self._ids: set[Any] = set()
        # what merged images show, to tell an object that both list
        self._merged = set(same_as.values())
        self._shown: set[tuple[Any, ...]] = set()

    def one(self, entry: dict[str, Any]) -> dict[str, Any] | None:
        """Return the entry, a mended copy, or None if there is no use for it."""
        image_id = entry["image_id"]
        changed: dict[str, Any] = {}
        image = None if image_id.__class__ is bool else self._images.get(image_id)
        if image is None:
            image_id = self._image_ids.find(image_id)
            if image_id in self._gone:
                return None
            image_id = changed["image_id"] = self._same_as.get(image_id, image_id)
            image = self._images.get(image_id)
        category, box = entry["category_id"], entry["bbox"]
        if image is None:
            self._report.add("unknown_image", f"{_which(entry)} of image {entry['image_id']}")
            return None
        if category.__class__ is not int or category not in self._classes:
            category = changed["category_id"] = self._class_ids.find(category)
            if category is None:
                where = f"{_which(entry)} on {image['file_name']}"
                self._report.add("unknown_class", f"{where} of class {entry['category_id']}")
                return None
        if image_id in self._merged:
            key = (image_id, category, tuple(box))
            if key in self._shown:
                return None
            self._shown.add(key)
        self._identify(entry, changed)
        if entry.get("ignore"):
            self._report.add("ignored_object", _which(entry))
            changed.update(ignore=0, iscrowd=1)
        clipped = self._box(entry, box, image)
        if clipped is None:
            return None
        if clipped is not box:
            changed["bbox"] = clipped
        mask = entry.get("segmentation")
        if mask:
            kind, mended = check_mask(mask, image["width"], image["height"])
            if kind and self._report.add(kind, f"{_which(entry)} on {image['file_name']}"):
                if mended is None:
                    return None
                changed["segmentation"] = mended
            elif mended is not None and isinstance(mask, dict) and mended is not mask:
                changed["segmentation"] = mended
        elif clipped is not box:
            changed["area"] = clipped[2] * clipped[3]
        if entry.get("keypoints") is not None:
            self._keypoints(entry, changed)
        return {**entry, **changed} if changed else entry

    def _identify(self, entry: dict[str, Any], changed: dict[str, Any]) -> None:
        """Add what is to be put in place of area and iscrowd, which pycocotools reads; ids are
        given anew, but tell whether an object is there twice."""
        number, area, crowd = entry.get("id"), entry.get("area"), entry.get("iscrowd")
        sound_area = isinstance(area, (int, float)) and math.isfinite(area)
        if number is not None and number not in self._ids and sound_area and crowd in (0, 1):
            self._ids.add(number)
            return
        faults = []
        if number is None:
            faults.append("lacks 'id'")
        elif number in self._ids:
            self._report.add("duplicate_object", f"id {number}")
        else:
            self._ids.add(number)
        if not sound_area:
            faults.append(f"has the area {area}" if "area" in entry else "lacks 'area'")
            changed["area"] = entry["bbox"][2] * entry["bbox"][3]
        if crowd not in (0, 1):
            faults.append(f"has iscrowd {crowd}" if "iscrowd" in entry else "lacks 'iscrowd'")
            changed["iscrowd"] = 0
        if faults:
            self._report.add("incomplete_object", f"{_which(entry)} {' and '.join(faults)}")

    def _keypoints(self, entry: dict[str, Any], changed: dict[str, Any]) -> None:
        points, given = canonical_keypoints(entry["keypoints"]), entry.get("num_keypoints")
        if points is None:
            self._report.add("broken_keypoints", _which(entry))
            changed.update(keypoints=None, num_keypoints=None)
            return
        if points is not entry["keypoints"]:
            changed["keypoints"] = points
        if type(given) is not int:
            changed["num_keypoints"] = sum(seen > 0 for seen in points[2::3])

    def _box(
        self, entry: dict[str, Any], box: Sequence[float], image: Mapping[str, Any]
    ) -> Sequence[float] | None:
        x, y, width, height = box
        right, bottom = x + width, y + height
        columns, rows = image["width"], image["height"]
        if (
            -TOLERANCE <= x < columns
            and -TOLERANCE <= y < rows
            and 0 < right <= columns + TOLERANCE
            and 0 < bottom <= rows + TOLERANCE
            and width > 0
            and height > 0
        ):
            return box
        if not math.isfinite(right + bottom) or width < 0 or height < 0:
            kind = "broken_box"
        elif width == 0 or height == 0:
            kind = "empty_box"
        elif x >= columns or y >= rows or right <= 0 or bottom <= 0:
            kind = "outside"
        else:
            kind = "partly_outside"
        where = f"{_which(entry)} on {image['file_name']} has the box {list(box)}"
        if not self._report.add(kind, f"{where} in {columns} x {rows}"):
            return box
        if kind != "partly_outside":
            return None
        left, top = max(x, 0), max(y, 0)
        return [left, top, min(right, columns) - left, min(bottom, rows) - top]


def _which(entry: Any) -> str:
    if isinstance(entry, dict) and isinstance(entry.get("id"), (int, str)):
        return f"object {entry['id']}"
    return f"object {shortened(entry)}"
