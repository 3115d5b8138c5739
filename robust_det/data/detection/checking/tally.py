"""What is counted over all objects of a data set, and said at the end."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Any

from robust_det.data.detection.canonical.entries import DIFFICULT
from robust_det.data.detection.checking.report import Report

__all__ = ["Tally"]

# of all objects, from which on crowds are worth a note: COCO has 1.2 %
_MANY_CROWDS = 0.05
# boxes in percent end at 100, which those of so many objects in images twice as large do not
_PERCENT, _OBJECTS = 100, 10
# a mask is no larger than its box, give or take; and none of so many pixels has less than one
_MORE, _MUCH = 1.5, 100


class Tally:
    """Counts crowds, difficult objects, those without an outline, and areas of other sizes."""

    def __init__(self) -> None:
        self._learnt: Counter[Any] = Counter()
        self._crowds: Counter[Any] = Counter()
        self._difficult: Counter[Any] = Counter()
        self._outlined = 0
        self._reach = 0.0  # of boxes, to the right or down, in pixels
        self._apart = 0
        self._first_apart = ""
        # the first of those without an outline, by whether it is a crowd
        self._bare: Counter[bool] = Counter()
        self._first: dict[bool, str] = {}

    def add(self, annotation: Mapping[str, Any], image: Mapping[str, Any]) -> None:
        """Count a sound object of an image."""
        crowd = bool(annotation["iscrowd"])
        (self._crowds if crowd else self._learnt)[annotation["category_id"]] += 1
        if annotation.get(DIFFICULT):
            self._difficult[annotation["category_id"]] += 1
        x, y, width, height = annotation["bbox"]
        self._reach = max(self._reach, x + width, y + height)
        area, around = annotation["area"], width * height
        if area > _MORE * around + 1 or (area < 1 and around > _MUCH):
            self._apart += 1
            self._first_apart = self._first_apart or (
                f"object {annotation.get('id')} on {image['file_name']} has the area {area} in a"
                f" box of {width} x {height}"
            )
        if annotation.get("segmentation"):
            self._outlined += 1
            return
        self._bare[crowd] += 1
        if crowd not in self._first:
            self._first[crowd] = f"object {annotation.get('id')} on {image['file_name']}"

    def conclude(
        self, classes: Mapping[Any, str], images: Mapping[Any, Mapping[str, Any]], report: Report
    ) -> None:
        """Add what was found to a report.

        Args:
            classes: names by id.
            images: by id.
            report: of the data set.
        """
        crowds, learnt = self._crowds.total(), self._learnt.total()
        if crowds and not learnt:
            report.add("all_crowds", f"{crowds} of {crowds}")
        elif crowds >= _MANY_CROWDS * (crowds + learnt) > 0:
            report.add("crowd", count=crowds)
        for number, count in self._crowds.items():
            if learnt and not self._learnt[number]:
                report.add("crowd_class", f"{classes[number]}, {count} of {count}")
        for number, count in self._difficult.items():
            if count == self._learnt[number]:
                report.add("difficult_class", f"{classes[number]}, {count} of {count}")
        if self._reach <= _PERCENT and crowds + learnt >= _OBJECTS:
            least = min(min(image["width"], image["height"]) for image in images.values())
            if least >= 2 * _PERCENT:
                report.add("percent_boxes", count=crowds + learnt)
        # of what is compared as it was published, this would be known
        if self._apart and not report.published:
            report.add("area_apart", self._first_apart, self._apart)
        if self._outlined:
            for crowd, kind in ((False, "bare_object"), (True, "bare_crowd")):
                if self._bare[crowd]:
                    report.add(kind, self._first[crowd], self._bare[crowd])
