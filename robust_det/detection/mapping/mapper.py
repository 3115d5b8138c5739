"""Detectron2's mappers, with our reader of images, large-scale jitter and copy-paste."""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from detectron2.config import CfgNode, configurable
from detectron2.data import DatasetMapper
from detectron2.data import detection_utils as utils
from detectron2.data import transforms as T
from detectron2.structures import Instances

from robust_det.detection.mapping.augmentation import large_scale_jitter
from robust_det.detection.mapping.copy_paste import CopyPaste
from robust_det.detection.mapping.decoding import read_image, read_map

__all__ = ["EvaluationMapper", "TrainingMapper", "build_mapper"]


def build_mapper(
    cfg: CfgNode, images: Sequence[dict[str, Any]]
) -> Callable[[dict[str, Any]], dict[str, Any]]:
    """Return what makes the model's input of a dataset dictionary.

    Args:
        cfg: a complete config.
        images: of the training data: copy-paste takes objects from them.
    """
    mapper = TrainingMapper(cfg)
    paste = cfg.INPUT.COPY_PASTE
    return CopyPaste(mapper, images, paste.PROB, paste.OBJECTS) if paste.PROB else mapper


class _Mapper(DatasetMapper):
    """Detectron2's :class:`DatasetMapper`, which has no place to put another reader of images in.

    Constructed from a config, or from the arguments of :class:`DatasetMapper` and

    Args:
        fast_jpeg: see :func:`~.decoding.read_image`.
    """

    @configurable
    def __init__(self, *, fast_jpeg: bool, **stock: Any) -> None:
        super().__init__(**stock)
        self.fast_jpeg = fast_jpeg

    @classmethod
    def from_config(cls, cfg: CfgNode, is_train: bool = True) -> dict[str, Any]:
        return {**super().from_config(cfg, is_train), "fast_jpeg": cfg.INPUT.FAST_JPEG}

    def __call__(self, dataset_dict: dict[str, Any]) -> dict[str, Any]:
        record = copy.deepcopy(dataset_dict)
        image = read_image(record["file_name"], self.image_format, self.fast_jpeg)
        utils.check_image_size(record, image)
        semantic = None
        if "sem_seg_file_name" in record:
            semantic = read_map(record.pop("sem_seg_file_name"))
        inputs = T.AugInput(image, sem_seg=semantic)
        transforms = self.augmentations(inputs)
        size = inputs.image.shape[:2]
        record["image"] = torch.as_tensor(np.ascontiguousarray(inputs.image.transpose(2, 0, 1)))
        if semantic is not None:
            record["sem_seg"] = torch.as_tensor(inputs.sem_seg.astype("long"))
        if self.proposal_topk is not None:
            utils.transform_proposals(record, size, transforms, proposal_topk=self.proposal_topk)
        if "annotations" in record:
            record["instances"] = self._instances(record.pop("annotations"), transforms, size)
        return record

    def _instances(
        self, annotations: list[dict[str, Any]], transforms: T.TransformList, size: tuple[int, int]
    ) -> Instances:
        """Return the objects, without crowds and without those that are outside now."""
        unused = set()
        if not self.use_instance_mask:
            unused.add("segmentation")
        if not self.use_keypoint:
            unused.add("keypoints")
        transformed = [
            utils.transform_instance_annotations(
                {key: value for key, value in annotation.items() if key not in unused},
                transforms,
                size,
                keypoint_hflip_indices=self.keypoint_hflip_indices,
            )
            for annotation in annotations
            if not annotation.get("iscrowd", 0)
        ]
        for annotation in transformed:
            mask = annotation.get("segmentation")
            if isinstance(mask, np.ndarray):  # of run lengths, where padding is not 0 either
                annotation["segmentation"] = mask == 1
        instances = utils.annotations_to_instances(transformed, size, self.instance_mask_format)
        if self.recompute_boxes and instances.has("gt_masks"):  # which an image of crowds has not
            instances.gt_boxes = instances.gt_masks.get_bounding_boxes()
        return utils.filter_empty_instances(instances)


class TrainingMapper(_Mapper):
    """Detectron2's mapper in training; without jitter, what it gives is the same."""

    @classmethod
    def from_config(cls, cfg: CfgNode, is_train: bool = True) -> dict[str, Any]:
        arguments = super().from_config(cfg, is_train)
        if cfg.INPUT.LSJ.ENABLED:
            arguments["augmentations"] = large_scale_jitter(cfg)
            arguments["recompute_boxes"] = cfg.MODEL.MASK_ON
        return arguments


class EvaluationMapper(_Mapper):
    """Detectron2's mapper in evaluation: nothing of the truth goes to the model."""

    @classmethod
    def from_config(cls, cfg: CfgNode, is_train: bool = False) -> dict[str, Any]:
        return super().from_config(cfg, is_train)

    def __call__(self, dataset_dict: dict[str, Any]) -> dict[str, Any]:
        truth = ("annotations", "sem_seg_file_name")
        return super().__call__({k: v for k, v in dataset_dict.items() if k not in truth})
