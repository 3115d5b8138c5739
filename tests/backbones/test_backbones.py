"""Every registered architecture as a Detectron2 backbone, from config alone."""

import pytest
import torch
from detectron2 import model_zoo
from detectron2.checkpoint import DetectionCheckpointer
from detectron2.layers import FrozenBatchNorm2d, ShapeSpec
from detectron2.modeling import build_backbone, build_model

from robust_det.checkpoints.io import load_checkpoint
from robust_det.conversion.convert import convert
from robust_det.detection.config import detection_defaults
from robust_det.errors import UserError
from robust_det.models import ARCHITECTURES, get_architecture

STAGES = ["res2", "res3", "res4", "res5"]
FPN, PLAIN = "build_robust_fpn_backbone", "build_robust_backbone"


def make_cfg(arch, name, norm="FrozenBN", freeze_at=0):
    cfg = detection_defaults()
    cfg.MODEL.BACKBONE.NAME = name
    cfg.MODEL.BACKBONE.ARCH = arch
    cfg.MODEL.BACKBONE.FREEZE_AT = freeze_at
    cfg.MODEL.RESNETS.NORM = norm
    cfg.MODEL.RESNETS.OUT_FEATURES = STAGES
    cfg.MODEL.FPN.IN_FEATURES = STAGES
    cfg.MODEL.FPN.OUT_CHANNELS = 32
    return cfg


def forward_shapes(backbone, size=64):
    with torch.no_grad():
        features = backbone.eval()(torch.zeros(1, 3, size, size))
    return {name: (value.shape[1], size // value.shape[2]) for name, value in features.items()}


@pytest.mark.parametrize("arch", ARCHITECTURES)
def test_plain_backbone(arch):
    with torch.device("meta"):
        cfg = make_cfg(arch, PLAIN)
        backbone = build_backbone(cfg, ShapeSpec(channels=3))
    stages = get_architecture(arch).stages
    said = {name: (s.channels, s.stride) for name, s in backbone.output_shape().items()}
    assert said == {s.name: (s.channels, s.stride) for s in stages}
    assert [s.stride for s in stages] == [4, 8, 16, 32]
    # numbers, not shapes alone: a real forward pass of real, if empty, weights
    backbone = backbone.to_empty(device="cpu")
    for tensor in backbone.state_dict().values():
        tensor.zero_()
    assert forward_shapes(backbone) == said


@pytest.mark.parametrize("arch", ARCHITECTURES)
def test_fpn_backbone(arch):
    with torch.device("meta"):
        backbone = build_backbone(make_cfg(arch, FPN), ShapeSpec(channels=3))
    said = {name: (s.channels, s.stride) for name, s in backbone.output_shape().items()}
    assert said == {f"p{i}": (32, 2**i) for i in range(2, 7)}
    backbone = backbone.to_empty(device="cpu")
    for tensor in backbone.state_dict().values():
        tensor.zero_()
    assert forward_shapes(backbone) == said


@pytest.mark.parametrize("freeze_at", [0, 1, 2, 3, 5])
@pytest.mark.parametrize("name", [PLAIN, FPN])
def test_freeze_at_freezes_exactly_those_stages(freeze_at, name):
    backbone = build_backbone(make_cfg("resnet10_narrow", name, "BN", freeze_at))
    bottom_up = backbone.bottom_up if name == FPN else backbone
    frozen = {"stem": freeze_at >= 1} | {f"res{i}": freeze_at >= i for i in range(2, 6)}
    for stage, expected in frozen.items():
        module = getattr(bottom_up, stage)
        parameters = list(module.parameters())
        assert all(p.requires_grad is not expected for p in parameters)
        norms = {type(m) for m in module.modules() if "BatchNorm" in type(m).__name__}
        assert norms == {FrozenBatchNorm2d if expected else torch.nn.BatchNorm2d}
    if name == FPN:
        assert all(p.requires_grad for n, p in backbone.named_parameters() if "bottom" not in n)


def test_frozen_norms_have_no_parameters():
    backbone = build_backbone(make_cfg("resnet10_narrow", PLAIN, "FrozenBN"))
    assert not [name for name, _ in backbone.named_parameters() if "norm" in name]
    assert {type(m) for m in backbone.modules() if "BatchNorm" in type(m).__name__} == {
        FrozenBatchNorm2d
    }


def test_out_features_and_unknown_architecture():
    cfg = make_cfg("resnet10_narrow", PLAIN)
    cfg.MODEL.RESNETS.OUT_FEATURES = ["stem", "res4"]
    assert forward_shapes(build_backbone(cfg)) == {"stem": (16, 4), "res4": (64, 16)}
    cfg.MODEL.BACKBONE.ARCH = "resnet10narrow"
    with pytest.raises(UserError, match="did you mean 'resnet10_narrow'"):
        build_backbone(cfg)


@pytest.mark.parametrize(
    "arch, keys",
    [("resnet18", {"DEPTH": 18, "RES2_OUT_CHANNELS": 64}), ("resnet50", {"DEPTH": 50})],
)
def test_stock_detectron2_loads_a_backbone_file_completely(arch, keys, tmp_path, write_classifier):
    """Nothing of ours but the file: stock config, stock FPN detector, stock checkpointer."""
    write_classifier(tmp_path / "in.pth", arch)
    card = convert(tmp_path / "in.pth", tmp_path / "out.pth")
    cfg = model_zoo.get_config("COCO-Detection/faster_rcnn_R_50_FPN_1x.yaml")
    cfg.MODEL.DEVICE = "cpu"
    cfg.MODEL.RESNETS.STRIDE_IN_1X1 = False
    for key, value in keys.items():
        cfg.MODEL.RESNETS[key] = value
    cfg.MODEL.PIXEL_MEAN, cfg.MODEL.PIXEL_STD = list(card.pixel_mean), list(card.pixel_std)
    model = build_model(cfg)
    DetectionCheckpointer(model).load(str(tmp_path / "out.pth"))
    own = model.backbone.bottom_up.state_dict()
    file = load_checkpoint(tmp_path / "out.pth")["model"]
    assert set(own) == set(file)
    assert all(torch.equal(own[name], file[name]) for name in own)
