"""Copy-paste augmentation (Ghiasi et al. 2021, section 3)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from detectron2.data.detection_utils import filter_empty_instances
from detectron2.structures import BitMasks, Instances

__all__ = ["CopyPaste", "paste"]


class CopyPaste:
    """Gives images with objects of another one pasted onto them.

    Random numbers are numpy's, as those of Detectron2's augmentation.

    Args:
        mapper: makes image and instances, bitmaps among them, of a dataset dictionary; all of one
            size.
        images: those that objects come from.
        prob: of an image that it is pasted onto.
        share: of the other image's objects that are pasted, on average.
    """

    def __init__(
        self,
        mapper: Callable[[dict[str, Any]], dict[str, Any]],
        images: Sequence[dict[str, Any]],
        prob: float,
        share: float,
    ) -> None:
        self.mapper, self.images = mapper, images
        self.prob, self.share = prob, share

    def __call__(self, record: dict[str, Any]) -> dict[str, Any]:
        mapped = self.mapper(record)
        if np.random.random() < self.prob:
            other = self.mapper(self.images[np.random.randint(len(self.images))])
            objects = other["instances"]
            chosen = torch.from_numpy(np.random.random(len(objects)) < self.share)
            if chosen.any():
                mapped["image"], mapped["instances"] = paste(
                    mapped["image"], mapped["instances"], other["image"], objects[chosen]
                )
        return mapped


def paste(
    image: torch.Tensor, instances: Instances, source: torch.Tensor, objects: Instances
) -> tuple[torch.Tensor, Instances]:
    """Paste objects of one image onto another of the same size, where they are.

    Args:
        image, instances: what is pasted onto; (C, H, W), and its boxes, classes and bitmaps.
        source, objects: what is pasted, at least one object.

    Returns:
        The image, and its instances: those below with the visible rest of their masks, tight
        boxes, and none that is hidden; then the pasted ones.
    """
    pasted = objects.gt_masks.tensor
    covered = pasted.any(dim=0)
    masks, classes = pasted, objects.gt_classes
    if len(instances):  # without any, there is no field of masks
        masks = torch.cat([instances.gt_masks.tensor & ~covered, pasted])
        classes = torch.cat([instances.gt_classes, objects.gt_classes])
    result = Instances(instances.image_size)
    result.gt_masks, result.gt_classes = BitMasks(masks), classes
    result.gt_boxes = result.gt_masks.get_bounding_boxes()
    return torch.where(covered, source, image), filter_empty_instances(result)
