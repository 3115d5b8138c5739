"""Whether the backbone gives the features that the heads take."""

from __future__ import annotations

import torch
from detectron2.config import CfgNode
from detectron2.modeling import BACKBONE_REGISTRY, build_backbone

from robust_det.backbones import builders
from robust_det.core.errors import UserError

__all__ = ["check_features"]

_HEADS = {
    "GeneralizedRCNN": ("RPN", "ROI_HEADS"),
    "PanopticFPN": ("RPN", "ROI_HEADS", "SEM_SEG_HEAD"),
    "ProposalNetwork": ("RPN",),
    "RetinaNet": ("RETINANET",),
    "SemanticSegmentor": ("SEM_SEG_HEAD",),
}


def check_features(cfg: CfgNode) -> None:
    """Refuse a config whose heads take features that its backbone does not give.

    Backbones and models of others are left alone: they may be built in any way.
    """
    name = cfg.MODEL.BACKBONE.NAME
    if BACKBONE_REGISTRY.get(name).__module__ != builders.__name__:
        return
    with torch.device("meta"):
        given = build_backbone(cfg).output_shape()
    for head in _HEADS.get(cfg.MODEL.META_ARCHITECTURE, ()):
        if head == "RPN" and cfg.MODEL.PROPOSAL_GENERATOR.NAME not in ("RPN", "RRPN"):
            continue
        wanted = cfg.MODEL[head].IN_FEATURES
        lacking = [feature for feature in wanted if feature not in given]
        if lacking:
            raise UserError(
                f"MODEL.{head}.IN_FEATURES has {lacking[0]}, but MODEL.BACKBONE.NAME {name} gives"
                f" {', '.join(given)}; let them agree"
            )
