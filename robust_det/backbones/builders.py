"""The registered architectures as Detectron2 backbones, plain and with FPN, from config alone."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Container, Mapping, Sequence
from itertools import pairwise

import torch
from detectron2.config import CfgNode
from detectron2.layers import ShapeSpec
from detectron2.modeling import BACKBONE_REGISTRY, Backbone
from detectron2.modeling.backbone import FPN
from detectron2.modeling.backbone.fpn import LastLevelMaxPool, LastLevelP6P7
from torch import nn

from robust_det.backbones.resnet import build_resnet, build_stage
from robust_det.backbones.traced import TracedBackbone, trace_last_stage
from robust_det.core.errors import UserError
from robust_det.models import get_architecture

__all__ = ["bottom_up_prefix", "build_backbone", "build_res5", "given_features"]


def build_backbone(
    arch: str,
    *,
    norm: str = "FrozenBN",
    out_features: Sequence[str] = ("res2", "res3", "res4", "res5"),
    freeze_at: int = 0,
    in_channels: int = 3,
    res5_dilation: int = 1,
) -> Backbone:
    """Build the backbone of a registered architecture, randomly initialised.

    Args:
        arch: registry name.
        norm: ``FrozenBN``, ``BN``, ``SyncBN`` or ``GN`` in place of batch norms.
        out_features: stages to return, of ``stem`` and ``res2`` .. ``res5``.
        freeze_at: number of stages to freeze; 1 is the stem, 2 the stem and res2, up to 5; none
            are frozen below 1.
        in_channels: channels of the image; other than 3 for residual networks only.
        res5_dilation: 2 keeps res5 at stride 16, for residual networks only.

    Raises:
        UserError: unknown architecture, stage or norm, one that is no backbone, or more stages to
            freeze than there are.
    """
    _check_stages(arch, out_features, freeze_at)
    architecture = get_architecture(arch)
    if architecture.layout is not None:
        return build_resnet(
            arch,
            norm=norm,
            out_features=out_features,
            freeze_at=freeze_at,
            in_channels=in_channels,
            res5_dilation=res5_dilation,
        )
    if in_channels != 3:
        raise UserError(f"{arch} takes images of 3 channels, not {in_channels}")
    if res5_dilation != 1:
        raise UserError(f"RES5_DILATION needs a ResNet, and {arch} is none")
    return TracedBackbone(arch, norm=norm, out_features=out_features, freeze_at=freeze_at)


def _check_stages(arch: str, out_features: Sequence[str], freeze_at: int) -> None:
    get_architecture(arch).require_stages()
    stages = ["stem", *(stage.name for stage in get_architecture(arch).stages)]
    if isinstance(out_features, str) or not out_features:
        raise UserError(f"OUT_FEATURES is {out_features!r}, not a list of {', '.join(stages)}")
    unknown = [name for name in out_features if name not in stages]
    if unknown:
        raise UserError(f"{arch} has no stage '{unknown[0]}'; it has {', '.join(stages)}")
    if not isinstance(freeze_at, int) or freeze_at > len(stages):
        raise UserError(
            f"FREEZE_AT is {freeze_at!r}, not a number up to {len(stages)}, which freezes all of"
            f" {', '.join(stages)}"
        )


def build_res5(arch: str, *, norm: str = "FrozenBN") -> nn.Sequential:
    """Build what a registered architecture computes from res4 to res5, for the head of a C4
    detector, randomly initialised.

    Raises:
        UserError: unknown architecture or norm.
    """
    layout = get_architecture(arch).layout
    if layout is not None:
        return nn.Sequential(*build_stage(layout, 3, norm))
    # under the name that it has in the backbone
    return nn.Sequential(OrderedDict(body=trace_last_stage(arch, norm)))


@BACKBONE_REGISTRY.register()
def build_robust_backbone(cfg: CfgNode, input_shape: ShapeSpec) -> Backbone:
    """Build the backbone named by ``MODEL.BACKBONE.ARCH``.

    Reads ``MODEL.BACKBONE.FREEZE_AT`` and of ``MODEL.RESNETS`` the keys ``NORM``,
    ``OUT_FEATURES`` and ``RES5_DILATION``; the rest of it follows from the architecture.
    """
    return build_backbone(
        cfg.MODEL.BACKBONE.ARCH,
        norm=cfg.MODEL.RESNETS.NORM,
        out_features=cfg.MODEL.RESNETS.OUT_FEATURES,
        freeze_at=cfg.MODEL.BACKBONE.FREEZE_AT,
        in_channels=input_shape.channels,
        res5_dilation=cfg.MODEL.RESNETS.RES5_DILATION,
    )


@BACKBONE_REGISTRY.register()
def build_robust_fpn_backbone(cfg: CfgNode, input_shape: ShapeSpec) -> Backbone:
    """Build the backbone of ``MODEL.BACKBONE.ARCH`` with a feature pyramid (``MODEL.FPN``)."""
    return _pyramid(cfg, build_robust_backbone(cfg, input_shape), LastLevelMaxPool())


@BACKBONE_REGISTRY.register()
def build_robust_retinanet_fpn_backbone(cfg: CfgNode, input_shape: ShapeSpec) -> Backbone:
    """Build the pyramid of RetinaNet: p6 and p7 are made of res5 by strided convolutions."""
    bottom_up = build_robust_backbone(cfg, input_shape)
    shapes = bottom_up.output_shape()
    _check_res5(shapes)
    top_block = LastLevelP6P7(shapes["res5"].channels, cfg.MODEL.FPN.OUT_CHANNELS)
    return _pyramid(cfg, bottom_up, top_block)


def _pyramid(cfg: CfgNode, bottom_up: Backbone, top_block: nn.Module) -> Backbone:
    strides = {name: shape.stride for name, shape in bottom_up.output_shape().items()}
    _check_pyramid(strides, cfg.MODEL.FPN.IN_FEATURES)
    return FPN(
        bottom_up=bottom_up,
        in_features=cfg.MODEL.FPN.IN_FEATURES,
        out_channels=cfg.MODEL.FPN.OUT_CHANNELS,
        norm=cfg.MODEL.FPN.NORM,
        top_block=top_block,
        fuse_type=cfg.MODEL.FPN.FUSE_TYPE,
    )


def _check_res5(features: Container[str]) -> None:
    if "res5" not in features:
        raise UserError("RetinaNet makes p6 of res5; add it to MODEL.RESNETS.OUT_FEATURES")


def _check_pyramid(strides: Mapping[str, int], wanted: Sequence[str]) -> None:
    """Refuse features that no pyramid can be made of.

    Args:
        strides: of the features that there are.
        wanted: those that the pyramid is to be made of.
    """
    lacking = [name for name in wanted if name not in strides]
    if lacking or not wanted:
        raise UserError(
            f"MODEL.FPN.IN_FEATURES is {wanted}, and MODEL.RESNETS.OUT_FEATURES gives"
            f" {', '.join(strides)}; let them agree"
        )
    own = [strides[name] for name in wanted]
    if any(2 * a != b for a, b in pairwise(own)):
        raise UserError(
            f"MODEL.FPN takes features whose strides double, and those of {', '.join(wanted)} are"
            f" {', '.join(map(str, own))}; RES5_DILATION 2 is for DC5, without FPN"
        )


# levels that each of these adds above those that are made of its features
_MORE_LEVELS = {build_robust_fpn_backbone: 1, build_robust_retinanet_fpn_backbone: 2}


def given_features(cfg: CfgNode) -> list[str] | None:
    """Return the names of what the config's backbone gives, told from the registry.

    To build a backbone and ask it takes seconds for some.

    Returns:
        The names; None if the backbone is not one of this module, and may be built in any way.

    Raises:
        UserError: what building it would raise.
    """
    build = BACKBONE_REGISTRY.get(cfg.MODEL.BACKBONE.NAME)
    if build is not build_robust_backbone and build not in _MORE_LEVELS:
        return None
    arch, features = cfg.MODEL.BACKBONE.ARCH, cfg.MODEL.RESNETS.OUT_FEATURES
    _check_stages(arch, features, cfg.MODEL.BACKBONE.FREEZE_AT)
    if build is build_robust_backbone:
        return list(features)
    if build is build_robust_retinanet_fpn_backbone:
        _check_res5(features)
    wanted = cfg.MODEL.FPN.IN_FEATURES
    if "stem" in wanted:  # whose stride the registry does not know
        with torch.device("meta"):
            return list(build(cfg, ShapeSpec(channels=3)).output_shape())
    strides = {stage.name: stage.stride for stage in get_architecture(arch).stages}
    if cfg.MODEL.RESNETS.RES5_DILATION == 2:
        strides["res5"] = strides["res4"]
    _check_pyramid({name: strides.get(name, 0) for name in features}, wanted)
    # as Detectron2 names them: 2 to that power is the stride
    levels = [strides[name].bit_length() - 1 for name in wanted]
    levels += range(levels[-1] + 1, levels[-1] + 1 + _MORE_LEVELS[build])
    return [f"p{level}" for level in levels]


def bottom_up_prefix(names: Sequence[str]) -> str:
    """Return where a detector keeps its backbone's tensors, given the names of its tensors."""
    fpn = "backbone.bottom_up."
    return fpn if any(name.startswith(fpn) for name in names) else "backbone."
