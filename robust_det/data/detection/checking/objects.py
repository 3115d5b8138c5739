"""Checks of the objects of a document in COCO format."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from robust_det.data.detection.annotation_file import Entries, Text, with_texts
from robust_det.data.detection.canonical.entries import DIFFICULT
from robust_det.data.detection.canonical.flags import as_flag
from robust_det.data.detection.canonical.identifiers import Identifiers
from robust_det.data.detection.canonical.keypoints import canonical_keypoints
from robust_det.data.detection.checking.masks import TOLERANCE, check_mask, place_fault
from robust_det.data.detection.checking.repeats import Repeats
from robust_det.data.detection.checking.report import Report, shortened
from robust_det.data.detection.checking.tally import Tally
from robust_det.data.detection.checking.terms import Terms

__all__ = ["check_objects"]

_FLAGS = ("iscrowd", "ignore")
_SMALL = 4  # pixels of an image's side
_LARGEST_AREA = 1e5**2  # pycocotools scores none that is larger, or below 0


def check_objects(
    annotations: Sequence[Any] | Entries,
    images: Mapping[Any, Mapping[str, Any]],
    same_as: Mapping[Any, Any],
    gone: set[Any],
    classes: Mapping[Any, str],
    report: Report,
    terms: Terms,
) -> Iterator[tuple[dict[str, Any], Text | None]]:
    """Check the annotations of a document; COCO has 860,000, so a sound one costs little.

    Args:
        annotations: the entries, whatever they are.
        images: the sound ones by id.
        same_as: the image that takes the objects of another.
        gone: images that were left out, whose objects go with them.
        classes: names of the categories by id.
        report: what is found is added to it.
        terms: what the run wants.

    Yields:
        The annotations with what is unsound left out, or replaced by a mended copy; and the text of
        those that are as they were, where they have one.
    """
    check = _Objects(images, same_as, gone, set(classes), report, terms)
    tally = Tally()
    for entry, text in with_texts(annotations):
        try:
            sound = check.one(entry)
        except KeyError as error:
            report.add("broken_object", f"{_which(entry)} lacks {error}")
            continue
        except (TypeError, ValueError, AttributeError, OverflowError, IndexError) as error:
            report.add("broken_object", f"{_which(entry)}{_reason(entry, error)}")
            continue
        if sound is not None:
            tally.add(sound, images[sound["image_id"]])
            yield sound, text if sound is entry else None
    tally.conclude(classes, images, report)


class _Objects:
    def __init__(
        self,
        images: Mapping[Any, Mapping[str, Any]],
        same_as: Mapping[Any, Any],
        gone: set[Any],
        classes: set[Any],
        report: Report,
        terms: Terms,
    ) -> None:
        self._terms = terms
        self._repeats = Repeats()
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
        for mark in _FLAGS:
            if isinstance(written := entry.get(mark), str):
                entry = {**entry, mark: int(as_flag(written, mark))}
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
                said = f"{_on(entry, image)} of class {entry['category_id']}"
                self._report.add("unknown_class", said)
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
        elif entry.get(DIFFICULT):
            # a file of ours calls it iscrowd, for others
            if entry.get("iscrowd"):
                changed["iscrowd"] = 0
        elif self._terms.crowds_are_objects and entry.get("iscrowd"):
            self._report.add("taken_crowd", _which(entry))
            changed["iscrowd"] = 0
        clipped = self._box(entry, box, image)
        if clipped is None:
            return None
        if clipped is not box:
            changed["bbox"] = clipped
        crowd = bool(changed.get("iscrowd", entry.get("iscrowd")))
        if self._repeats.has((image_id, category, crowd), clipped) and self._report.add(
            "repeated_object", _on(entry, image)
        ):
            return None
        outline = self._outline(entry, clipped, image)
        if outline is not entry.get("segmentation"):
            changed["segmentation"] = outline
        if not outline:
            if clipped is not box:
                changed["area"] = clipped[2] * clipped[3]
            if self._terms.outlined and self._report.add("no_outline", _on(entry, image)):
                return None
        if entry.get("keypoints") is not None:
            self._keypoints(entry, changed)
        return {**entry, **changed} if changed else entry

    def _outline(
        self, entry: dict[str, Any], box: Sequence[float], image: Mapping[str, Any]
    ) -> Any:
        """Return the outline of an entry, or what to use in its place, [] if that is none."""
        outline = entry.get("segmentation")
        if not outline:
            return outline
        kind, mended = check_mask(outline, image["width"], image["height"])
        if kind and not self._report.add(kind, _on(entry, image)):
            return outline
        apart = ""
        # of what is compared as it was published, this would be known and cost seconds
        if mended and kind in ("", "mask_outside") and not self._report.published:
            apart = place_fault(mended, box)
        if apart:
            self._report.add(apart, _on(entry, image))
        return mended

    def _identify(self, entry: dict[str, Any], changed: dict[str, Any]) -> None:
        """Add what is to be put in place of area and iscrowd, which pycocotools reads; ids are
        given anew, but tell whether an object is there twice."""
        number, area, crowd = entry.get("id"), entry.get("area"), entry.get("iscrowd")
        sound_area = isinstance(area, (int, float)) and (
            # of a box that has no area, that box is judged
            0 <= area <= _LARGEST_AREA or area == entry["bbox"][2] * entry["bbox"][3]
        )
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
        # in all but tiny images, no object is so small, just there
        if (
            -TOLERANCE <= x <= 1
            and -TOLERANCE <= y <= 1
            and (0 < width <= 1 or right <= 1)
            and (0 < height <= 1 or bottom <= 1)
            and min(width, height) > 0
            and columns >= _SMALL <= rows
        ):
            where = f"{_on(entry, image)} has the box {list(box)}"
            if self._report.add("normalised_box", where):
                return None
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
        where = f"{_on(entry, image)} has the box {list(box)}"
        if not self._report.add(kind, f"{where} in {columns} x {rows}"):
            return box
        if kind != "partly_outside":
            return None
        left, top = max(x, 0), max(y, 0)
        return [left, top, min(right, columns) - left, min(bottom, rows) - top]


def _reason(entry: Any, error: Exception) -> str:
    """Return what is wrong with an entry that a check failed on."""
    if not isinstance(entry, dict):
        return ": it is no mapping of keys"
    box = entry.get("bbox")
    if not isinstance(box, list) or len(box) != 4:
        return f" has the box {shortened(box)}; it needs x, y, width and height"
    if any(isinstance(value, str) for value in box):
        return f" has the box {shortened(box)}, in which numbers are text; write them as numbers"
    return f": {error}"


def _on(entry: Any, image: Mapping[str, Any]) -> str:
    return f"{_which(entry)} on {image['file_name']}"


def _which(entry: Any) -> str:
    if isinstance(entry, dict) and isinstance(entry.get("id"), (int, str)):
        return f"object {entry['id']}"
    return f"object {shortened(entry)}"
