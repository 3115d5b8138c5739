"""Detectron2's own files."""

from __future__ import annotations

import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from robust_det.checkpoints.model_file import read_model
from robust_det.conversion.convert import convert
from robust_det.core.errors import UserError

from .networks import (
    ASSUMED,
    LIMIT,
    difference,
    own_logits,
    same_features,
    same_tensors,
    torchvision_network,
)


def write_as_detectron2_does(state: Any, path: Any) -> None:
    """What tools/convert-torchvision-to-d2.py of Detectron2 does, which its package lacks."""
    model = {}
    for name, tensor in state.items():
        if "layer" not in name:
            name = "stem." + name
        for t in (1, 2, 3, 4):
            name = name.replace(f"layer{t}", f"res{t + 1}")
        for t in (1, 2, 3):
            name = name.replace(f"bn{t}", f"conv{t}.norm")
        name = name.replace("downsample.0", "shortcut").replace("downsample.1", "shortcut.norm")
        model[name] = tensor.detach().numpy()
    assert all(isinstance(value, np.ndarray) for value in model.values())
    with open(path, "wb") as file:
        pickle.dump(
            {"model": model, "__author__": "torchvision", "matching_heuristics": True}, file
        )


@pytest.mark.parametrize("arch", ["resnet18", "resnet10_narrow"])
def test_a_pickle_of_detectron2(path: Path, unsettle: Callable[..., Any], arch: str) -> None:
    network = unsettle(torchvision_network(arch))
    path = path.with_suffix(".pkl")
    write_as_detectron2_does(network.state_dict(), path)
    model = read_model(path)
    assert (model.arch, model.num_classes) == (arch, 10)
    assert (model.format, model.notes) == ("Detectron2 weights", (ASSUMED,))
    assert difference(model, own_logits(network)) <= LIMIT
    target = path.with_suffix(".pth")
    convert(path, target, to="torchvision")
    state = torch.load(target, weights_only=True)
    assert list(state) == list(network.state_dict())
    same_tensors(state, network.state_dict())
    torchvision_network(arch, seed=1).load_state_dict(state)


def test_a_detector_of_stock_detectron2(tmp_path: Path, unsettle: Callable[..., Any]) -> None:
    from detectron2.checkpoint import DetectionCheckpointer
    from detectron2.config import get_cfg
    from detectron2.layers import FrozenBatchNorm2d
    from detectron2.modeling import build_model
    from detectron2.solver import build_lr_scheduler, build_optimizer

    cfg = get_cfg()
    cfg.MODEL.DEVICE = "cpu"
    cfg.MODEL.META_ARCHITECTURE = "RetinaNet"
    cfg.MODEL.BACKBONE.NAME = "build_retinanet_resnet_fpn_backbone"
    cfg.MODEL.RESNETS.DEPTH = 18
    cfg.MODEL.RESNETS.RES2_OUT_CHANNELS = 64
    cfg.MODEL.RESNETS.OUT_FEATURES = ["res2", "res3", "res4", "res5"]
    cfg.MODEL.RESNETS.NORM = "BN"
    cfg.MODEL.FPN.IN_FEATURES = ["res3", "res4", "res5"]
    cfg.MODEL.FPN.OUT_CHANNELS = 16
    cfg.MODEL.RETINANET.IN_FEATURES = ["p3", "p4", "p5", "p6", "p7"]
    cfg.MODEL.RETINANET.NUM_CONVS = 1
    detector = build_model(cfg)
    # FREEZE_AT is 2: the first norms have no counters, the others do
    frozen = [m for m in detector.modules() if isinstance(m, FrozenBatchNorm2d)]
    assert len(frozen) == 5
    for norm in frozen:
        norm.weight.uniform_(0.5, 1.5)
        norm.running_mean.uniform_(-0.5, 0.5)
    unsettle(detector.backbone.bottom_up)
    optimizer = build_optimizer(cfg, detector)
    checkpointer = DetectionCheckpointer(
        detector,
        str(tmp_path),
        optimizer=optimizer,
        scheduler=build_lr_scheduler(cfg, optimizer),
    )
    checkpointer.save("model_final", iteration=7)
    model = read_model(tmp_path / "model_final.pth")
    assert (model.arch, model.num_classes) == ("resnet18", 0)
    assert model.format == "Detectron2 weights"
    assert model.notes[0] == ASSUMED
    # what no tensor shows: others of Detectron2's networks stride elsewhere and take BGR images
    assert "3x3" in model.notes[1] and "RGB" in model.notes[1]
    with pytest.raises(UserError, match="have no classification head"):
        model.classifier()
    same_features(detector.backbone.bottom_up, model)


# batch norms that were trained forget it, but Detectron2 freezes the first stages
@pytest.mark.parametrize("trained", ["nothing", "res3 and above", "all"])
def test_networks_that_came_from_caffe(path: Path, trained: str) -> None:
    from detectron2.config import get_cfg
    from detectron2.layers import ShapeSpec
    from detectron2.modeling import build_resnet_backbone

    cfg = get_cfg()
    cfg.MODEL.RESNETS.DEPTH = 18
    cfg.MODEL.RESNETS.RES2_OUT_CHANNELS = 64
    cfg.MODEL.RESNETS.OUT_FEATURES = ["res5"]
    network = build_resnet_backbone(cfg, ShapeSpec(channels=3))
    with torch.no_grad():
        for name, value in network.state_dict().items():
            late = name.startswith(("res3", "res4", "res5")) and trained != "nothing"
            # Caffe's scale and shift, in which its statistics are lost
            if name.endswith(("norm.weight", "norm.bias")) or late or trained == "all":
                value.uniform_(0.5, 1.5)
    path = path.with_suffix(".pkl")
    model = {f"backbone.{name}": t.numpy() for name, t in network.state_dict().items()}
    with open(path, "wb") as file:
        pickle.dump({"model": model, "__author__": "Detectron2 Model Zoo"}, file)
    if trained == "all":
        assert read_model(path).arch == "resnet18"
        return
    with pytest.raises(UserError, match=r"resnet18 whose norm bn1 never saw an image.*BGR"):
        read_model(path)
