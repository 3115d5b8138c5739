"""Data sets that are COCO JSON already."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from robust_det.core.errors import UserError
from robust_det.core.memory import without_garbage_collection
from robust_det.data.detection.annotation_file import Entries, read_coco
from robust_det.data.detection.checking.checks import check_document
from robust_det.data.detection.checking.images import Depth
from robust_det.data.detection.checking.report import Report, shortened
from robust_det.data.detection.checking.terms import EVERYTHING, Terms
from robust_det.data.detection.source import Reading
from robust_det.data.places import nowhere

__all__ = ["CocoSource"]

_LISTS = ("images", "annotations", "categories")
_NO_GROUP = (None, "", "none")


@dataclass(frozen=True)
class CocoSource:
    """A COCO annotation file and the folder of its images.

    Attributes:
        json_file, image_root: where.
        published: whether Detectron2 registers it, see :class:`.Kind`.
        terms: what the run wants.
    """

    json_file: str
    image_root: str
    published: bool = False
    terms: Terms = EVERYTHING

    def read(self, name: str, depth: Depth | None = None) -> Reading:
        """See :class:`.Source`. Headers of published images are not read unless asked."""
        with without_garbage_collection():
            return self._read(name, depth)

    def _read(self, name: str, depth: Depth | None) -> Reading:
        path = Path(self.json_file)
        if not path.is_file():
            raise UserError(f"data set '{name}' has no annotations at {nowhere(self.json_file)}")
        try:
            document, sha256 = read_coco(path)
        except (OSError, ValueError, RecursionError) as error:
            raise UserError(
                f"annotations {path} are not in COCO format ({type(error).__name__}: {error})"
            ) from error
        for key in _LISTS:
            if not isinstance(document, dict) or not isinstance(document.get(key), (list, Entries)):
                raise UserError(
                    f"annotations {path} are not in COCO format: they need a list '{key}'"
                )
        if not Path(self.image_root).is_dir():
            raise UserError(f"data set '{name}' has no image folder {nowhere(self.image_root)}")
        report = Report(name, self.published)
        if depth is None:
            depth = Depth.NAMES if self.published else Depth.HEADERS
        categories = _without_groups(document, report)
        document = {**document, "categories": categories}
        images = check_document(document, self.image_root, report, depth, self.terms)
        return Reading(images, categories, self.image_root, report, self.json_file, sha256)


def _without_groups(document: Mapping[str, Any], report: Report) -> list[Any]:
    """Return the categories without those that only group others and share a class's name.

    Roboflow writes ``{"id": 0, "name": "cat", "supercategory": "none"}`` before the classes of the
    group. Of several with a name the one that has objects is the class; without any, the one in the
    group.
    """
    entries = document["categories"]
    named = [c for c in entries if isinstance(c, dict) and isinstance(c.get("name"), str)]
    times = Counter(c["name"] for c in named)
    doubtful = [c for c in named if times[c["name"]] > 1]
    if not doubtful:
        return list(entries)
    used = {_plain(a.get("category_id")) for a in document["annotations"] if isinstance(a, dict)}
    left_out: list[Any] = []
    for name in dict.fromkeys(c["name"] for c in doubtful):
        same = [c for c in doubtful if c["name"] == name]
        classes = [c for c in same if _plain(c.get("id")) in used]
        if not classes:
            classes = [c for c in same if c.get("supercategory") not in _NO_GROUP]
        if len(classes) == 1:
            left_out += [c for c in same if c is not classes[0]]
    for category in left_out:
        report.add("group_class", shortened(category))
    return [c for c in entries if not any(c is other for other in left_out)]


def _plain(number: Any) -> str:
    """Return an id, such as 1, 1.0 or "1", so that equal ones are equal."""
    try:
        return str(float(number))
    except (TypeError, ValueError, OverflowError):
        return str(number)
