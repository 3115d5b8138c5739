"""Large-scale jitter (Ghiasi et al. 2021, section 3), and what the augmentation's keys may say."""

from __future__ import annotations

from importlib.util import find_spec
from typing import Any

import numpy as np
from detectron2.config import CfgNode
from detectron2.data import detection_utils as utils
from detectron2.data import transforms as T

from robust_det.core.errors import UserError
from robust_det.detection.datasets import describe_dataset

__all__ = ["check_augmentation", "large_scale_jitter"]

_NO_LABEL = 255  # what the loss of semantic segmentation leaves out


def large_scale_jitter(cfg: CfgNode) -> list[T.Augmentation]:
    """Return resizing by a random factor, cropping or padding to a fixed size, and the flip."""
    jitter = cfg.INPUT.LSJ
    return [
        _ResizeScale(jitter.MIN_SCALE, jitter.MAX_SCALE, jitter.SIZE, jitter.SIZE),
        _FixedSizeCrop((jitter.SIZE, jitter.SIZE)),
        # what follows the resizing
        *utils.build_augmentation(cfg, is_train=True)[1:],
    ]


class _ResizeScale(T.ResizeScale):
    """Detectron2's, which rounds the short side of a very long image to zero."""

    def get_transform(self, image: np.ndarray) -> T.ResizeTransform:
        resize = super().get_transform(image)
        resize.new_h, resize.new_w = max(resize.new_h, 1), max(resize.new_w, 1)
        return resize


class _FixedSizeCrop(T.FixedSizeCrop):
    """Detectron2's, in every version with padding that belongs to no class."""

    def get_transform(self, image: np.ndarray) -> T.TransformList:
        crop, pad = super().get_transform(image).transforms
        pad.seg_pad_value = _NO_LABEL
        return T.TransformList([_Crop(crop.x0, crop.y0, crop.w, crop.h), pad])


class _Crop(T.CropTransform):
    """Detectron2's, which cuts polygons with shapely, and loses parts of self-crossing ones.

    Here they become bitmaps, whose border cuts them.
    """

    def apply_polygons(self, polygons: list[np.ndarray]) -> list[np.ndarray]:
        return [self.apply_coords(polygon) for polygon in polygons]


def check_augmentation(cfg: CfgNode) -> None:
    """Refuse keys of the augmentation that are out of range or contradict each other.

    Raises:
        UserError: with the key.
    """
    jitter, paste, masks = cfg.INPUT.LSJ, cfg.INPUT.COPY_PASTE, cfg.MODEL.MASK_ON
    _require(jitter.SIZE >= 1, f"INPUT.LSJ.SIZE is {jitter.SIZE}; it starts from 1")
    _require(
        0 < jitter.MIN_SCALE <= jitter.MAX_SCALE,
        f"INPUT.LSJ scales by {jitter.MIN_SCALE} to {jitter.MAX_SCALE}; give MIN_SCALE above 0 and"
        " MAX_SCALE not below it",
    )
    for key in ("PROB", "OBJECTS"):
        value: Any = paste[key]
        _require(0 <= value <= 1, f"INPUT.COPY_PASTE.{key} is {value}; it is from 0 to 1")
    if jitter.ENABLED:
        _require(
            not cfg.INPUT.CROP.ENABLED, "INPUT.LSJ crops by itself; leave INPUT.CROP.ENABLED out"
        )
        _require(
            not masks or cfg.INPUT.MASK_FORMAT == "bitmask",
            "INPUT.LSJ cuts masks; set INPUT.MASK_FORMAT to bitmask, which reads polygons as well",
        )
    if paste.PROB:
        _require(masks, "INPUT.COPY_PASTE needs masks; set MODEL.MASK_ON, or PROB to 0")
        _require(jitter.ENABLED, "INPUT.COPY_PASTE needs images of one size; set INPUT.LSJ.ENABLED")
        _require(
            not cfg.MODEL.KEYPOINT_ON,
            "INPUT.COPY_PASTE pastes masks alone; leave MODEL.KEYPOINT_ON out",
        )
    _check_crop(cfg)


def _check_crop(cfg: CfgNode) -> None:
    # fvcore imports it when the first polygon is cut, in the middle of training
    if cfg.INPUT.CROP.ENABLED and cfg.MODEL.MASK_ON and find_spec("shapely") is None:
        for name in cfg.DATASETS.TRAIN:
            _require(
                describe_dataset(name).masks != "polygon",
                f"INPUT.CROP cuts the polygons of data set '{name}' with shapely, which is not"
                " installed; pip install shapely, or leave INPUT.CROP.ENABLED out",
            )


def _require(condition: bool, message: str) -> None:
    if not condition:
        raise UserError(message)
