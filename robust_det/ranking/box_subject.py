"""A detection set as backbones are ranked on it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch

from robust_det.ranking.box_features import STAGES, Pixels, box_features, usual_size
from robust_det.ranking.boxes import BoxSet
from robust_det.transfer.features.cache import FeatureKey, cached_features
from robust_det.transfer.features.extraction import Features
from robust_det.zoo.backbone_files import BackboneFile

__all__ = ["BoxSubject"]

_VERSION = 1  # another one when the same boxes get other features


class BoxSubject:
    """The boxes of a detection set; see :class:`~robust_det.ranking.subject.Subject`.

    Args:
        boxes: of it.
        size: shorter side in pixels that images are brought to; chosen if None.
    """

    def __init__(self, boxes: BoxSet, size: int | None = None) -> None:
        size = size or usual_size(boxes.images)
        self._pixels = Pixels(boxes.images, size)
        self.title = ", ".join(facts.name for facts in boxes.facts)
        self.images = len(boxes.images)
        self.task = boxes.task
        self.notes = boxes.notes
        self.data: Mapping[str, Any] = {
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
        self.settings: Mapping[str, Any] = {"size": size, "stages": list(STAGES), "boxes": _VERSION}
        self.how = (
            f"{len(self.task.labels):,} boxes of {self.images:,} images"
            f" with a shorter side of {size} pixels: features of frozen {' and '.join(STAGES)} by"
            " ROIAlign, averaged over each box; the boxes of an image are left out, and drawn,"
            " together."
        )

    def features(
        self, file: BackboneFile, device: torch.device, advance: Callable[[int], object]
    ) -> torch.Tensor:
        """See :class:`~robust_det.ranking.subject.Subject`."""
        found = cached_features(
            FeatureKey(file.sha256, self.data["digest"], self.settings),
            lambda: self._extracted(file, device, advance),
            what="boxes",
        )
        return found.values

    def _extracted(
        self, file: BackboneFile, device: torch.device, advance: Callable[[int], object]
    ) -> Features:
        values = box_features(file.path, self._pixels, device, advance)
        return Features(values, self.task.labels, torch.arange(len(values)))
