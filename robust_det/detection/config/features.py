"""Whether the heads find what they need: the backbone's features, and Detectron2's operators."""

from __future__ import annotations

from detectron2.config import CfgNode

from robust_det.backbones.builders import given_features
from robust_det.backbones.compat import operators_are_compiled
from robust_det.core.errors import UserError

__all__ = ["check_features", "check_operators"]

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
    given = given_features(cfg)
    if given is None:
        return
    for head in _HEADS.get(cfg.MODEL.META_ARCHITECTURE, ()):
        if head == "RPN" and cfg.MODEL.PROPOSAL_GENERATOR.NAME not in ("RPN", "RRPN"):
            continue
        wanted = cfg.MODEL[head].IN_FEATURES
        lacking = [feature for feature in wanted if feature not in given]
        if lacking:
            raise UserError(
                f"MODEL.{head}.IN_FEATURES has {lacking[0]}, but MODEL.BACKBONE.NAME"
                f" {cfg.MODEL.BACKBONE.NAME} gives {', '.join(given)}; let them agree"
            )


def check_operators(cfg: CfgNode) -> None:
    """Refuse heads for rotated boxes where Detectron2 lacks the operators, which are compiled."""
    if operators_are_compiled():
        return
    for key, name, plain in (
        ("PROPOSAL_GENERATOR", "RRPN", "RPN"),
        ("ROI_HEADS", "RROIHeads", "StandardROIHeads"),
    ):
        if name == cfg.MODEL[key].NAME:
            raise UserError(
                f"MODEL.{key}.NAME {name} is for rotated boxes, whose operators are not compiled"
                f" here; use {plain}, or install the official Detectron2"
            )
