"""What a model finds: objects, stuff, or both, which make a panoptic segmentation."""

from __future__ import annotations

from detectron2.config import CfgNode

__all__ = ["finds_objects", "finds_stuff"]


def finds_objects(cfg: CfgNode) -> bool:
    """Whether a config's model gives boxes."""
    return bool(cfg.MODEL.META_ARCHITECTURE != "SemanticSegmentor")


def finds_stuff(cfg: CfgNode) -> bool:
    """Whether a config's model gives a class to each pixel."""
    return cfg.MODEL.META_ARCHITECTURE in ("SemanticSegmentor", "PanopticFPN")
