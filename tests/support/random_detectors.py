"""Detectors of every kind in a moment: random weights, but scores that differ."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
import yaml

RETINANET = {
    "META_ARCHITECTURE": "RetinaNet",
    "MASK_ON": False,
    "BACKBONE": {"NAME": "build_robust_retinanet_fpn_backbone"},
    "RESNETS": {"OUT_FEATURES": ["res3", "res4", "res5"]},
    "FPN": {"IN_FEATURES": ["res3", "res4", "res5"], "OUT_CHANNELS": 32},
    "RETINANET": {
        "IN_FEATURES": ["p3", "p4", "p5", "p6", "p7"],
        "NUM_CONVS": 1,
        "SCORE_THRESH_TEST": 0.02,
        "TOPK_CANDIDATES_TEST": 50,
    },
}
C4 = {
    "MASK_ON": False,
    "BACKBONE": {"NAME": "build_robust_backbone"},
    "RESNETS": {"OUT_FEATURES": ["res4"]},
    "RPN": {"IN_FEATURES": ["res4"]},
    "ANCHOR_GENERATOR": {"SIZES": [[16, 32, 64]]},
    "ROI_HEADS": {"NAME": "Res5ROIHeads", "IN_FEATURES": ["res4"]},
    "ROI_BOX_HEAD": {"POOLER_RESOLUTION": 14},
}
KINDS: dict[str, dict[str, Any]] = {
    "mask": {},
    "faster": {"MASK_ON": False},
    "cascade": {
        "ROI_HEADS": {"NAME": "CascadeROIHeads"},
        "ROI_BOX_HEAD": {"FC_DIM": 64, "CLS_AGNOSTIC_BBOX_REG": True},
    },
    "retinanet": RETINANET,
    "c4": C4,
}


def random_detector(write_config: Callable[..., Path], kind: str = "mask") -> Path:
    """Write a detector into its OUTPUT_DIR; return the config, with data and backbone.

    Args:
        write_config: writes the config of a tiny detector, with changes by section.
        kind: of :data:`KINDS`.
    """
    # which prepares Detectron2
    from robust_det.detection.checkpointer import RobustCheckpointer  # noqa: I001
    from detectron2.modeling import build_model

    from robust_det.detection.categories import categories_of
    from robust_det.detection.config import load_config

    base = yaml.safe_load(write_config().read_text())["MODEL"]
    sections = {
        "MODEL": {**base, **KINDS[kind]},
        "TEST": {"DETECTIONS_PER_IMAGE": 20, "PICTURES": 0},
    }
    config = write_config(**sections)
    cfg, card = load_config(str(config))
    torch.manual_seed(0)
    model = build_model(cfg)
    for name, parameter in model.named_parameters():
        if "cls_score" in name and name.endswith("weight"):
            torch.nn.init.normal_(parameter, std=0.3)
    categories = categories_of(cfg.DATASETS.TRAIN[0])
    checkpointer = RobustCheckpointer(model, cfg.OUTPUT_DIR, card=card, categories=categories)
    Path(cfg.OUTPUT_DIR).mkdir(exist_ok=True)
    checkpointer.save_beside("model_final")
    return config
