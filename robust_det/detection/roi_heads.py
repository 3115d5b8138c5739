"""The heads of C4 detectors, whose box features are the backbone's res5."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from detectron2.config import CfgNode
from detectron2.layers import ShapeSpec
from detectron2.modeling import ROI_HEADS_REGISTRY
from detectron2.modeling.roi_heads import Res5ROIHeads
from torch import nn

from robust_det.backbones.builders import build_res5
from robust_det.backbones.norms import make_norm
from robust_det.core.errors import UserError
from robust_det.models import get_architecture

__all__ = ["RobustRes5ROIHeads"]


@ROI_HEADS_REGISTRY.register()
class RobustRes5ROIHeads(Res5ROIHeads):
    """Detectron2's C4 heads with the res5 of ``MODEL.BACKBONE.ARCH``.

    Detectron2's own builds three bottleneck blocks whatever the backbone, which is ResNet-50's.

    Raises:
        UserError: they are to take another stage than res4, or the backbone has res5 as well.
    """

    @classmethod
    def from_config(cls, cfg: CfgNode, input_shape: Mapping[str, ShapeSpec]) -> dict[str, Any]:
        if cfg.MODEL.ROI_HEADS.IN_FEATURES != ["res4"] or "res5" in input_shape:
            raise UserError(
                "a C4 head computes res5 from res4: let MODEL.ROI_HEADS.IN_FEATURES be [res4]"
                " and MODEL.RESNETS.OUT_FEATURES end there"
            )
        kwargs: dict[str, Any] = super().from_config(cfg, input_shape)
        return kwargs

    @classmethod
    def _build_res5_block(cls, cfg: CfgNode) -> tuple[nn.Module, int]:
        arch, norm = cfg.MODEL.BACKBONE.ARCH, cfg.MODEL.RESNETS.NORM
        channels = get_architecture(arch).stages[-1].channels
        res5 = build_res5(arch, norm=norm)
        if cfg.MODEL.ROI_HEADS.RES5_EXTRA_NORM:
            # MoCo's (He et al. 2020): tames features that no box head was pretrained for
            res5.add_module("norm", make_norm(norm, channels))
        return res5, channels
