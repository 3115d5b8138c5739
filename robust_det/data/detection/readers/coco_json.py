"""Data sets that are COCO JSON already."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from robust_det.core.errors import UserError
from robust_det.core.memory import without_garbage_collection
from robust_det.data.detection.annotation_file import Entries, read_coco
from robust_det.data.detection.checking.checks import check_document
from robust_det.data.detection.checking.images import Depth
from robust_det.data.detection.checking.report import Report
from robust_det.data.detection.checking.terms import EVERYTHING, Terms
from robust_det.data.detection.source import Reading

__all__ = ["CocoSource"]

_LISTS = ("images", "annotations", "categories")


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
            raise UserError(
                f"data set '{name}' has no annotations at {path};"
                " set DETECTRON2_DATASETS to the folder that holds your data sets"
            )
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
            raise UserError(f"data set '{name}' has no image folder {self.image_root}")
        report = Report(name, self.published)
        if depth is None:
            depth = Depth.NAMES if self.published else Depth.HEADERS
        images = check_document(document, self.image_root, report, depth, self.terms)
        categories = document["categories"]
        return Reading(images, categories, self.image_root, report, self.json_file, sha256)
