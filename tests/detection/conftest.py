"""Detectors of every kind in a moment: random weights, but scores that differ."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from detectron2.modeling import build_model

from robust_det.detection.categories import categories_of
from robust_det.detection.checkpointer import RobustCheckpointer
from robust_det.detection.config import load_config

CONFIGS = Path(__file__).parents[2] / "configs/detection"
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


@pytest.fixture
def detector_config(write_config: Callable[..., Path]) -> Callable[..., Path]:
    """Return a function that writes a detector into its OUTPUT_DIR, and the config that names it.

    With ``data``, the config has the data and the backbone, as for training; without, neither is
    to be found, as where somebody predicts."""

    def make(kind: str = "mask", data: bool = False) -> Path:
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
        if not data:
            raw = yaml.safe_load(config.read_text())
            raw["MODEL"]["WEIGHTS"] = "robust://no_such_backbone"
            raw["DATASETS"] = {"TRAIN": ["no_such_data"], "TEST": ["no_such_data"]}
            config.write_text(yaml.safe_dump(raw))
        return config

    return make
