"""The heads of C4 detectors, whose box features are a residual network's res5."""

from __future__ import annotations

from detectron2.config import CfgNode
from detectron2.modeling import ROI_HEADS_REGISTRY
from detectron2.modeling.roi_heads import Res5ROIHeads
from torch import nn

from robust_det.backbones.norms import make_norm
from robust_det.backbones.resnet import build_stage, resnet_layout

__all__ = ["RobustRes5ROIHeads"]


@ROI_HEADS_REGISTRY.register()
class RobustRes5ROIHeads(Res5ROIHeads):
    """Detectron2's C4 heads with the res5 of ``MODEL.BACKBONE.ARCH``.

    Detectron2's own builds three bottleneck blocks whatever the backbone, which is no ResNet-18's.
    """

    @classmethod
    def _build_res5_block(cls, cfg: CfgNode) -> tuple[nn.Module, int]:
        layout = resnet_layout(cfg.MODEL.BACKBONE.ARCH)
        channels = 8 * layout.res2_channels
        res5 = nn.Sequential(*build_stage(layout, 3, cfg.MODEL.RESNETS.NORM))
        if cfg.MODEL.ROI_HEADS.RES5_EXTRA_NORM:
            # MoCo's (He et al. 2020): tames features that no box head was pretrained for
            res5.add_module("norm", make_norm(cfg.MODEL.RESNETS.NORM, channels))
        return res5, channels
