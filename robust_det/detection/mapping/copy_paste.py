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
                mapped = paste(mapped, other, objects[chosen])
        return mapped


def paste(onto: dict[str, Any], source: dict[str, Any], objects: Instances) -> dict[str, Any]:
    """Paste objects of one mapped image onto another of the same size, where they are.

    Args:
        onto: with ``image`` (C, H, W), ``instances`` with boxes, classes and bitmaps, and perhaps
            ``sem_seg`` (H, W).
        source: likewise.
        objects: those of the source that are pasted, at least one.

    Returns:
        ``onto`` with the pixels of the objects, and its instances: those below with the visible
        rest of their masks and tight boxes, without what is hidden; then the pasted ones.
    """
    pasted = objects.gt_masks.tensor
    covered = pasted.any(dim=0)
    pixels: dict[str, Any] = {
        k: torch.where(covered, source[k], onto[k]) for k in ("image", "sem_seg") if k in onto
    }
    below, masks, classes = onto["instances"], pasted, objects.gt_classes
    if len(below):  # without any, there is no field of masks
        masks = torch.cat([below.gt_masks.tensor & ~covered, pasted])
        classes = torch.cat([below.gt_classes, objects.gt_classes])
    instances = Instances(below.image_size)
    instances.gt_masks, instances.gt_classes = BitMasks(masks), classes
    instances.gt_boxes = instances.gt_masks.get_bounding_boxes()
    return {**onto, **pixels, "instances": filter_empty_instances(instances)}
