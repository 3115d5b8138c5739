"""Test-time augmentation: an image is looked at in several sizes, and mirrored."""

from __future__ import annotations

import logging
from typing import Any

from detectron2.config import CfgNode
from detectron2.modeling import GeneralizedRCNNWithTTA
from detectron2.utils import comm
from torch import nn

from robust_det.core.errors import UserError

__all__ = ["check_test_time_augmentation", "with_test_time_augmentation"]

logger = logging.getLogger(__name__)

_KEY = "TEST.AUG.ENABLED"


def check_test_time_augmentation(cfg: CfgNode) -> None:
    """Refuse ``TEST.AUG`` where Detectron2 has none, or where it would see no image."""
    aug = cfg.TEST.AUG
    if not aug.ENABLED:
        return
    architecture = cfg.MODEL.META_ARCHITECTURE
    if architecture != "GeneralizedRCNN":
        raise UserError(
            f"{_KEY} is for a GeneralizedRCNN, and MODEL.META_ARCHITECTURE is {architecture}; leave"
            " it out"
        )
    if cfg.MODEL.KEYPOINT_ON:
        raise UserError(f"{_KEY} cannot be had with MODEL.KEYPOINT_ON; leave one of them out")
    if not aug.MIN_SIZES or not all(isinstance(n, int) and n > 0 for n in aug.MIN_SIZES):
        raise UserError(
            f"TEST.AUG.MIN_SIZES is {list(aug.MIN_SIZES)}; give the short sides of the images that"
            " are looked at, in pixels"
        )
    if aug.MAX_SIZE < 1:
        raise UserError(f"TEST.AUG.MAX_SIZE is {aug.MAX_SIZE}; it starts from 1")
    own = cfg.INPUT.MIN_SIZE_TEST
    if not min(aug.MIN_SIZES) <= own <= max(aug.MIN_SIZES) and comm.is_main_process():
        logger.warning(
            f"TEST.AUG.MIN_SIZES {list(aug.MIN_SIZES)} are all on one side of INPUT.MIN_SIZE_TEST"
            f" {own}, so that objects have other sizes than the detector is used to"
        )


def with_test_time_augmentation(cfg: CfgNode, model: nn.Module) -> Any:
    """Return what finds objects as ``TEST.AUG`` says: the model itself, or Detectron2's
    :class:`GeneralizedRCNNWithTTA` around it, which takes and gives the same.

    As in Detectron2, the images are resized from the size that ``INPUT.MIN_SIZE_TEST`` gives them.

    Args:
        cfg: of the model, checked.
        model: in the mode it shall be left in.
    """
    if not cfg.TEST.AUG.ENABLED:
        return model
    return GeneralizedRCNNWithTTA(cfg, model).train(model.training)
