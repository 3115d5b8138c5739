"""The registered architectures as Detectron2 backbones, plain and with FPN, from config alone."""

from __future__ import annotations

from collections.abc import Sequence

from detectron2.config import CfgNode
from detectron2.layers import ShapeSpec
from detectron2.modeling import BACKBONE_REGISTRY, Backbone
from detectron2.modeling.backbone import FPN
from detectron2.modeling.backbone.fpn import LastLevelMaxPool
from detectron2.modeling.backbone.resnet import BasicBlock, BasicStem, BottleneckBlock, ResNet

from robust_det.models import get_architecture

__all__ = ["bottom_up_prefix", "build_resnet"]


def build_resnet(
    arch: str,
    *,
    norm: str = "FrozenBN",
    out_features: Sequence[str] = ("res2", "res3", "res4", "res5"),
    freeze_at: int = 0,
    in_channels: int = 3,
) -> ResNet:
    """Build Detectron2's own ResNet for a registered architecture.

    Args:
        arch: registry name.
        norm: norm layers, as in ``MODEL.RESNETS.NORM``.
        out_features: stages to return, of ``stem`` and ``res2`` .. ``res5``.
        freeze_at: number of stages to freeze; 1 is the stem, 2 the stem and res2, and so on.
        in_channels: channels of the image.

    Raises:
        UserError: unknown architecture.
    """
    layout = get_architecture(arch).layout
    stem = BasicStem(in_channels, layout.stem_channels, norm)
    stages = []
    channels = layout.stem_channels
    for i, blocks in enumerate(layout.blocks):
        out_channels = layout.res2_channels * 2**i
        special = {}
        if layout.bottleneck:
            # torchvision strides in the 3x3 convolution
            special = {"bottleneck_channels": layout.inner_channels * 2**i, "stride_in_1x1": False}
        stages.append(
            ResNet.make_stage(
                BottleneckBlock if layout.bottleneck else BasicBlock,
                blocks,
                in_channels=channels,
                out_channels=out_channels,
                stride_per_block=[1 if i == 0 else 2] + [1] * (blocks - 1),
                norm=norm,
                **special,
            )
        )
        channels = out_channels
    return ResNet(stem, stages, out_features=list(out_features), freeze_at=freeze_at)


@BACKBONE_REGISTRY.register()
def build_robust_backbone(cfg: CfgNode, input_shape: ShapeSpec) -> Backbone:
    """Build the backbone named by ``MODEL.BACKBONE.ARCH``.

    Reads ``MODEL.BACKBONE.FREEZE_AT``, ``MODEL.RESNETS.NORM`` and ``MODEL.RESNETS.OUT_FEATURES``;
    the rest of ``MODEL.RESNETS`` follows from the architecture.
    """
    return build_resnet(
        cfg.MODEL.BACKBONE.ARCH,
        norm=cfg.MODEL.RESNETS.NORM,
        out_features=cfg.MODEL.RESNETS.OUT_FEATURES,
        freeze_at=cfg.MODEL.BACKBONE.FREEZE_AT,
        in_channels=input_shape.channels,
    )


@BACKBONE_REGISTRY.register()
def build_robust_fpn_backbone(cfg: CfgNode, input_shape: ShapeSpec) -> Backbone:
    """Build the backbone of ``MODEL.BACKBONE.ARCH`` with a feature pyramid (``MODEL.FPN``)."""
    return FPN(
        bottom_up=build_robust_backbone(cfg, input_shape),
        in_features=cfg.MODEL.FPN.IN_FEATURES,
        out_channels=cfg.MODEL.FPN.OUT_CHANNELS,
        norm=cfg.MODEL.FPN.NORM,
        top_block=LastLevelMaxPool(),
        fuse_type=cfg.MODEL.FPN.FUSE_TYPE,
    )


def bottom_up_prefix(names: Sequence[str]) -> str:
    """Return where a detector keeps its backbone's tensors, given the names of its tensors."""
    fpn = "backbone.bottom_up."
    return fpn if any(name.startswith(fpn) for name in names) else "backbone."
