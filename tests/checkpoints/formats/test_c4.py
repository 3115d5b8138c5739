"""C4 detectors, which keep res5 in the head: it is a part of the backbone all the same."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from detectron2.checkpoint import DetectionCheckpointer
from detectron2.config import get_cfg
from detectron2.modeling import build_model
from torch import nn

from robust_det.checkpoints.model_file import read_model
from robust_det.conversion.convert import convert
from robust_det.detection.checkpointer import RobustCheckpointer
from robust_det.detection.config import load_config
from robust_det.models import Classifier
from tests.support import ROOT

from .networks import same_features

BEFORE_RES5 = ["res2", "res3", "res4"]


class Stages(nn.Module):
    """All stages that a C4 detector computes, without the norm that may follow them."""

    def __init__(self, detector: Any) -> None:
        super().__init__()
        res5 = dict(detector.roi_heads.res5.named_children())
        res5.pop("norm", None)
        self.backbone, self.res5 = detector.backbone, nn.Sequential(*res5.values())

    def forward(self, images: Any) -> dict[Any, Any]:
        features = self.backbone(images)
        return {**features, "res5": self.res5(features["res4"])}


@pytest.fixture
def config(write_config: Callable[..., Path]) -> Callable[..., Any]:
    """Return a function that reads the config of a tiny detector, C4 or FPN."""

    def read(base: Any, weights: Any, *overrides: Any) -> Any:
        path = write_config(
            _BASE_=str(ROOT / f"configs/detection/{base}.yaml"),
            MODEL={"WEIGHTS": str(weights), "FPN": {"OUT_CHANNELS": 16}},
        )
        return load_config(str(path), list(overrides))

    return read


@pytest.mark.parametrize("arch", ["resnet10_narrow", "mobilenet_v2"])
@pytest.mark.parametrize("extra_norm", [False, True])
def test_an_own_c4_detector(
    config: Callable[..., Any],
    write_classifier: Callable[..., Classifier],
    tmp_path: Path,
    arch: str,
    extra_norm: bool,
) -> None:
    write_classifier(tmp_path / "in.pth", arch)
    convert(tmp_path / "in.pth", tmp_path / "backbone.pth")
    overrides = ["MODEL.RESNETS.OUT_FEATURES", str(BEFORE_RES5)]
    overrides += ["MODEL.ROI_HEADS.RES5_EXTRA_NORM", str(extra_norm)]
    cfg, card = config("base_small_rcnn_c4", tmp_path / "backbone.pth", *overrides)
    detector = build_model(cfg)
    checkpointer = RobustCheckpointer(detector, str(tmp_path), card=card)
    checkpointer.load(cfg.MODEL.WEIGHTS)
    with torch.no_grad():  # as if it had been fine-tuned
        for parameter in detector.parameters():
            parameter.mul_(1.01)
    checkpointer.save("model_final")
    model = read_model(tmp_path / "model_final.pth")
    assert (model.arch, model.format) == (arch, "detector")
    same_features(Stages(detector), model)
    # and it can be built upon, by detectors with and without FPN
    convert(tmp_path / "model_final.pth", tmp_path / "again.pth")
    for base in ("base_small_rcnn_c4", "base_small"):
        cfg, _ = config(base, tmp_path / "again.pth", *(overrides if "c4" in base else ()))
        again = build_model(cfg)
        RobustCheckpointer(again).load(cfg.MODEL.WEIGHTS)
        same_features(Stages(again) if "c4" in base else again.backbone.bottom_up, model)


def test_a_c4_detector_of_stock_detectron2(tmp_path: Path, unsettle: Callable[..., Any]) -> None:
    cfg = get_cfg()
    cfg.MODEL.DEVICE = "cpu"
    cfg.MODEL.RESNETS.OUT_FEATURES = BEFORE_RES5
    cfg.MODEL.RESNETS.STRIDE_IN_1X1 = False
    cfg.MODEL.RESNETS.NORM = "BN"
    cfg.MODEL.BACKBONE.FREEZE_AT = 0
    detector = build_model(cfg)
    stages = Stages(detector)
    unsettle(stages)
    DetectionCheckpointer(detector, str(tmp_path)).save("model_final")
    model = read_model(tmp_path / "model_final.pth")
    assert (model.arch, model.format, model.num_classes) == ("resnet50", "Detectron2 weights", 0)
    same_features(stages, model)
