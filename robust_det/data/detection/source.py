"""What the readers of all formats have in common."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from robust_det.data.detection.checking.images import Depth
from robust_det.data.detection.checking.report import Report

__all__ = ["Reading", "Source", "object_entry"]


@dataclass(frozen=True)
class Reading:
    """A data set as it was read.

    Attributes:
        document: in COCO format: ``images``, ``annotations``, ``categories``. What is unsound is
            left out or mended.
        image_root: the folder that image names are relative to.
        report: what was unsound.
        json_file: holds the document if nothing was unsound; empty if there is no such file yet.
        sha256: of what was read.
        maps: the file of each image's semantic map, by image id; empty without any.
        metadata: what Detectron2 is told beside files and folders of objects.
        panoptic_sha256: of the panoptic annotations; empty without any.
    """

    document: dict[str, Any]
    image_root: str
    report: Report
    json_file: str = ""
    sha256: str = ""
    maps: Mapping[Any, str] = field(default_factory=dict)
    metadata: Mapping[str, Any] = field(default_factory=dict)
    panoptic_sha256: str = ""


class Source(Protocol):
    """Where a data set is, and how it is read. Equal sources are the same data."""

    def __hash__(self) -> int: ...

    def read(self, name: str, depth: Depth | None = None) -> Reading:
        """Read and check everything.

        Args:
            name: of the data set, for messages.
            depth: how closely to look at images; as is due to the source if unset.

        Raises:
            UserError: there is nothing that could be checked.
        """
        ...


def object_entry(
    number: int, image_id: int, category_id: int, box: Sequence[float], iscrowd: int = 0
) -> dict[str, Any]:
    """Return a COCO annotation for a box ``[x, y, width, height]`` in pixels."""
    return {
        "id": number,
        "image_id": image_id,
        "category_id": category_id,
        "bbox": list(box),
        "area": box[2] * box[3],
        "iscrowd": iscrowd,
    }
