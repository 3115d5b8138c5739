"""What backbones are ranked on: features of a data set's examples, and what they are to tell."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Protocol

import torch

from robust_det.ranking.backbones import BackboneFile
from robust_det.ranking.box_features import STAGES, Pixels, box_features, usual_size
from robust_det.ranking.boxes import BoxSet
from robust_det.ranking.task import Task

__all__ = ["BoxSubject", "Subject"]


class Subject(Protocol):
    """A data set whose examples backbones are scored by.

    Attributes:
        title: the data, in few words.
        images: how many are passed through each backbone.
        task: what features are to tell.
        notes: what to say of the data, a sentence each.
        data, settings: for the record.
        how: how the scores came about, in a sentence.
    """

    title: str
    images: int
    task: Task
    notes: tuple[str, ...]
    data: Mapping[str, Any]
    settings: Mapping[str, Any]
    how: str

    def features(
        self, file: BackboneFile, device: torch.device, advance: Callable[[int], object]
    ) -> torch.Tensor:
        """Return the features of all examples, (N, D) float32 on the CPU.

        Args:
            file: the backbone.
            device: where to compute.
            advance: is told how many images were done.
        """
        ...


class BoxSubject:
    """The boxes of a detection set; see :class:`Subject`.

    Args:
        boxes: of it.
        size: shorter side in pixels that images are brought to; chosen if None.
    """

    def __init__(self, boxes: BoxSet, size: int | None = None) -> None:
        size = size or usual_size([*boxes.images])
        self._pixels = Pixels(boxes.images, size)
        self.title = ", ".join(facts.name for facts in boxes.facts)
        self.images = len(boxes.images)
        self.task = boxes.task
        self.notes = boxes.notes
        self.data = {
            "sets": [
                {
                    "name": facts.name,
                    "images": facts.images,
                    "annotations": facts.annotations,
                    "sha256": facts.sha256,
                }
                for facts in boxes.facts
            ],
            "images": self.images,
            "boxes": len(self.task.labels),
            "digest": boxes.digest,
        }
        self.settings = {"size": size, "stages": list(STAGES)}
        self.how = (
            f"{len(self.task.labels):,} boxes of {self.images:,} images"
            f" with a shorter side of {size} pixels: features of frozen {' and '.join(STAGES)} by"
            " ROIAlign, averaged over each box; the boxes of an image are left out, and drawn,"
            " together."
        )

    def features(
        self, file: BackboneFile, device: torch.device, advance: Callable[[int], object]
    ) -> torch.Tensor:
        """See :class:`Subject`."""
        return box_features(file.path, self._pixels, device, advance)
