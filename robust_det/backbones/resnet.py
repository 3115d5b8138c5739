"""Residual networks as Detectron2's own ResNet, so that all its tooling keeps working."""

from __future__ import annotations

import functools
from collections.abc import Sequence

from detectron2.modeling.backbone.resnet import BasicBlock, BasicStem, BottleneckBlock, ResNet
from torch import nn

from robust_det.backbones.norms import make_norm
from robust_det.core.errors import UserError
from robust_det.models import get_architecture
from robust_det.models.registry import ResNetLayout

__all__ = ["build_resnet", "build_stage"]


def build_stage(
    layout: ResNetLayout, index: int, norm: str, *, dilation: int = 1, stride: int | None = None
) -> list[nn.Module]:
    """Build the blocks of one stage.

    Args:
        layout: of the network.
        index: 0 for res2 .. 3 for res5.
        norm: norm layers, as in ``MODEL.RESNETS.NORM``.
        dilation: of its 3x3 convolutions; bottleneck networks only.
        stride: of its first block; 1 for res2 and 2 for the others if None.
    """
    special = {}
    if layout.bottleneck:
        special = {
            "bottleneck_channels": layout.inner_channels * 2**index,
            "num_groups": layout.groups,
            "dilation": dilation,
            "stride_in_1x1": False,  # torchvision strides in the 3x3 convolution
        }
    elif dilation != 1:
        raise UserError("RES5_DILATION needs a ResNet of bottleneck blocks, such as resnet50")
    if stride is None:
        stride = 1 if index == 0 else 2
    out_channels = layout.res2_channels * 2**index
    return ResNet.make_stage(
        BottleneckBlock if layout.bottleneck else BasicBlock,
        layout.blocks[index],
        in_channels=layout.stem_channels if index == 0 else out_channels // 2,
        out_channels=out_channels,
        stride_per_block=[stride] + [1] * (layout.blocks[index] - 1),
        norm=functools.partial(make_norm, norm),
        **special,
    )


def build_resnet(
    arch: str,
    *,
    norm: str = "FrozenBN",
    out_features: Sequence[str] = ("res2", "res3", "res4", "res5"),
    freeze_at: int = 0,
    in_channels: int = 3,
    res5_dilation: int = 1,
) -> ResNet:
    """Build Detectron2's own ResNet for a registered architecture.

    Args:
        arch: registry name.
        norm: norm layers, as in ``MODEL.RESNETS.NORM``.
        out_features: stages to return, of ``stem`` and ``res2`` .. ``res5``; stages after the last
            of them are not built.
        freeze_at: number of stages to freeze; 1 is the stem, 2 the stem and res2, and so on.
        in_channels: channels of the image.
        res5_dilation: 2 keeps res5 at stride 16 (DC5).

    Raises:
        UserError: unknown architecture, or no residual network.
    """
    layout = get_architecture(arch).layout
    if layout is None:
        raise UserError(f"{arch} is no ResNet; use build_backbone")
    stem = BasicStem(in_channels, layout.stem_channels, functools.partial(make_norm, norm))
    wanted = [int(name[-1]) - 2 for name in out_features if name.startswith("res")]
    stages = []
    for index in range(max(wanted, default=0) + 1):
        dilation = res5_dilation if index == 3 else 1
        # dilated convolutions keep the resolution that a stride would halve
        stride = None if dilation == 1 else 1
        stages.append(build_stage(layout, index, norm, dilation=dilation, stride=stride))
    return ResNet(stem, stages, out_features=list(out_features), freeze_at=freeze_at)
