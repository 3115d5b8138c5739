"""Every registered architecture as a Detectron2 backbone, from config alone."""

import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from detectron2 import model_zoo
from detectron2.checkpoint import DetectionCheckpointer
from detectron2.layers import FrozenBatchNorm2d, ShapeSpec
from detectron2.modeling import build_backbone, build_model
from detectron2.structures import Boxes, Instances
from detectron2.utils.events import EventStorage

from robust_det import load_backbone
from robust_det.backbones.builders import build_backbone as build_plain
from robust_det.backbones.builders import given_features
from robust_det.checkpoints.io import load_checkpoint
from robust_det.conversion.convert import convert
from robust_det.core.errors import UserError
from robust_det.detection.checkpointer import RobustCheckpointer
from robust_det.detection.config import detection_defaults
from robust_det.models import ARCHITECTURES, Classifier, get_architecture
from robust_det.models.spelling import COUNTER, spelling
from robust_det.models.stages import tensor_stages

STAGES = ["res2", "res3", "res4", "res5"]
FPN, PLAIN = "build_robust_fpn_backbone", "build_robust_backbone"
RETINANET = "build_robust_retinanet_fpn_backbone"


def make_cfg(arch: Any, name: Any, norm: str = "FrozenBN", freeze_at: int = 0) -> Any:
    cfg = detection_defaults()
    cfg.MODEL.BACKBONE.NAME = name
    cfg.MODEL.BACKBONE.ARCH = arch
    cfg.MODEL.BACKBONE.FREEZE_AT = freeze_at
    cfg.MODEL.RESNETS.NORM = norm
    cfg.MODEL.RESNETS.OUT_FEATURES = STAGES
    cfg.MODEL.FPN.IN_FEATURES = STAGES[1:] if name == RETINANET else STAGES
    cfg.MODEL.FPN.OUT_CHANNELS = 32
    return cfg


def forward_shapes(backbone: Any, size: int = 64) -> dict[Any, Any]:
    image = torch.zeros(1, 3, size, size, device=next(backbone.parameters()).device)
    with torch.no_grad(), image.device:
        features = backbone.eval()(image)
    return {name: (value.shape[1], size // value.shape[2]) for name, value in features.items()}


def said_shapes(backbone: Any) -> dict[Any, Any]:
    return {name: (s.channels, s.stride) for name, s in backbone.output_shape().items()}


@pytest.mark.parametrize("arch", ARCHITECTURES)
def test_every_architecture_is_a_backbone_of_its_stages(arch: Any) -> None:
    with torch.device("meta"):
        backbone = build_backbone(make_cfg(arch, FPN), ShapeSpec(channels=3))
    plain, stages = backbone.bottom_up, get_architecture(arch).stages
    assert said_shapes(plain) == {s.name: (s.channels, s.stride) for s in stages}
    assert [s.stride for s in stages] == [4, 8, 16, 32]
    assert forward_shapes(plain) == said_shapes(plain)
    assert said_shapes(backbone) == {f"p{i}": (32, 2**i) for i in range(2, 7)}
    assert given_features(make_cfg(arch, PLAIN)) == list(said_shapes(plain))
    assert given_features(make_cfg(arch, FPN)) == list(said_shapes(backbone))


@pytest.mark.parametrize("name", [PLAIN, FPN, RETINANET])
@pytest.mark.parametrize("arch", ["resnet10_narrow", "mobilenet_v2"])
def test_backbones_of_every_kind(arch: str, name: Any) -> None:
    with torch.device("meta"):
        backbone = build_backbone(make_cfg(arch, name), ShapeSpec(channels=3))
    said = said_shapes(backbone)
    if name == RETINANET:  # as RetinaNet's own configs have it, from res3
        assert said == {f"p{i}": (32, 2**i) for i in range(3, 8)}
    assert given_features(make_cfg(arch, name)) == list(said)
    # a real forward pass of real, if empty, weights
    backbone = backbone.to_empty(device="cpu")
    for tensor in backbone.state_dict().values():
        tensor.zero_()
    assert forward_shapes(backbone, 128) == said


@pytest.mark.parametrize(
    ("arch", "name", "features", "levels", "dilation"),
    [
        ("resnet50", FPN, ["res3", "res4"], ["res3", "res4"], 1),
        ("resnet50", PLAIN, ["stem", "res5"], ["res5"], 2),
        ("mobilenet_v2", FPN, ["stem", "res2"], ["stem", "res2"], 1),
        # refused: a stride of 4 twice, a stride of 16 twice, a stage that is not there
        ("resnet18", FPN, ["stem", "res2"], ["stem", "res2"], 1),
        ("resnet50", FPN, ["res4", "res5"], ["res4", "res5"], 2),
        ("resnet18", FPN, ["res3"], ["res3", "res4"], 1),
        ("resnet18", PLAIN, ["res6"], ["res6"], 1),
        ("resnet18", RETINANET, ["res3", "res4"], ["res3", "res4"], 1),
    ],
)
def test_what_a_backbone_gives_is_known_before_it_is_built(
    arch: Any, name: Any, features: Any, levels: Any, dilation: Any
) -> Any:
    cfg = make_cfg(arch, name)
    cfg.MODEL.RESNETS.OUT_FEATURES, cfg.MODEL.FPN.IN_FEATURES = features, levels
    cfg.MODEL.RESNETS.RES5_DILATION = dilation

    def outcome(ask: Any) -> Any:
        try:
            return ask()
        except UserError as error:
            return str(error)

    def built() -> Any:
        with torch.device("meta"):
            return list(build_backbone(cfg, ShapeSpec(channels=3)).output_shape())

    assert outcome(lambda: given_features(cfg)) == outcome(built)


@pytest.mark.parametrize(
    "name, freeze_at", [(FPN, 2), *((PLAIN, freeze_at) for freeze_at in (-1, 0, 1, 2, 3, 5))]
)
@pytest.mark.parametrize("arch", ["resnet10_narrow", "mobilenet_v2", "shufflenet_v2_x1_0"])
def test_freeze_at_freezes_exactly_those_stages(arch: str, name: Any, freeze_at: int) -> None:
    backbone = build_backbone(make_cfg(arch, name, "BN", freeze_at))
    bottom_up = backbone.bottom_up if name == FPN else backbone
    spelled = spelling(arch, "detectron2").names
    frozen = ["stem", "res2", "res3", "res4", "res5"][: max(freeze_at, 0)]
    parameters = dict(bottom_up.named_parameters())
    for own, stage in tensor_stages(arch).items():
        if stage == "head" or COUNTER in own:
            continue
        parameter = parameters.get(spelled[own])
        norm, _, leaf = spelled[own].rpartition(".")
        kind = type(bottom_up.get_submodule(norm))
        if stage in frozen:
            assert parameter is None or not parameter.requires_grad
            # the statistics do not move either
            assert kind is not torch.nn.BatchNorm2d
        elif leaf in ("weight", "bias"):
            assert parameter is not None and parameter.requires_grad
            assert kind is not FrozenBatchNorm2d
    if name == FPN:
        assert all(p.requires_grad for n, p in backbone.named_parameters() if "bottom" not in n)


@pytest.mark.parametrize("arch", ["resnet10_narrow", "mobilenet_v2"])
@pytest.mark.parametrize(
    "keys, message",
    [
        ({"freeze_at": 6}, "FREEZE_AT is 6, not a number up to 5"),
        ({"freeze_at": "2"}, "FREEZE_AT is '2', not a number up to 5"),
        ({"freeze_at": 1.5}, "FREEZE_AT is 1.5, not a number up to 5"),
        ({"out_features": ["res9"]}, "has no stage 'res9'; it has stem, res2, res3, res4, res5"),
        ({"out_features": "res5"}, "OUT_FEATURES is 'res5', not a list of stem, res2"),
        ({"out_features": []}, r"OUT_FEATURES is \[\], not a list of stem, res2"),
    ],
)
def test_stages_that_are_not_there(arch: str, keys: Any, message: str) -> None:
    with pytest.raises(UserError, match=message):
        build_plain(arch, **keys)


def test_a_frozen_stage_computes_what_it_does_in_evaluation() -> None:
    images = torch.rand(2, 3, 64, 64)
    features = {}
    for training in (False, True):
        torch.manual_seed(0)
        backbone = build_plain("convnext_tiny", freeze_at=3).train(training)
        with torch.no_grad():
            features[training] = backbone(images)
    for stage, frozen in (("res2", True), ("res3", True), ("res4", False), ("res5", False)):
        assert torch.equal(features[False][stage], features[True][stage]) is frozen


@pytest.mark.parametrize("norm", ["BN", "SyncBN"])
def test_a_norm_keeps_its_momentum(norm: str) -> None:
    with torch.device("meta"):
        backbone = build_plain("mnasnet1_0", norm=norm)
    norms = [m for m in backbone.modules() if isinstance(m, NORM_TYPES[norm])]
    assert len(norms) == 52
    assert all(m.momentum == pytest.approx(0.0003, rel=1e-6) for m in norms)


@pytest.mark.parametrize("arch", ["resnet10_narrow", "mnasnet1_0", "densenet161"])
def test_frozen_norms_have_no_parameters(arch: str) -> None:
    with torch.device("meta"):
        backbone = build_backbone(make_cfg(arch, PLAIN, "FrozenBN"), ShapeSpec(channels=3))
    parameters = [p for _, p in backbone.named_parameters()]
    assert all(p.dim() == 4 for p in parameters)  # convolutions alone
    assert {type(m) for m in backbone.modules() if "BatchNorm" in type(m).__name__} == {
        FrozenBatchNorm2d
    }


NORM_TYPES = {
    "FrozenBN": FrozenBatchNorm2d,
    "BN": torch.nn.BatchNorm2d,
    "SyncBN": torch.nn.SyncBatchNorm,
    "GN": torch.nn.GroupNorm,
}


@pytest.mark.parametrize(
    "arch, norm",
    [
        *((arch, norm) for arch in ("resnet18", "mobilenet_v2") for norm in NORM_TYPES),
        # whose channels divide into other groups
        *((arch, "GN") for arch in ("vgg16_bn", "mnasnet1_0", "shufflenet_v2_x1_0")),
    ],
)
def test_norms(arch: str, norm: Any) -> None:
    backbone = build_backbone(make_cfg(arch, PLAIN, norm))
    norms = (*NORM_TYPES.values(), torch.nn.LayerNorm)
    assert {type(m) for m in backbone.modules() if isinstance(m, norms)} == {NORM_TYPES[norm]}
    if norm != "SyncBN":  # which trains on a GPU alone
        features = backbone.train()(torch.rand(2, 3, 64, 64))
        sum(f.square().mean() for f in features.values()).backward()
        trained = [p for p in backbone.parameters() if p.requires_grad]
        assert trained and all(p.grad is not None for p in trained)


@pytest.mark.parametrize("norm, lost", [("GN", 24), ("BN", 0)])
def test_a_loaded_backbone_says_what_its_norms_lost(
    norm: str,
    lost: int,
    backbone_file: Path,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(logging.getLogger("robust_det"), "propagate", True)
    load_backbone(backbone_file, norm=norm, out_features=["res2", "res5"])
    lines = [record.getMessage() for record in caplog.records if record.levelname == "WARNING"]
    assert len(lines) == bool(lost)
    assert all(f"so {lost} statistics of batch norms are left out" in line for line in lines)


def test_convnext_keeps_its_layer_norms() -> None:
    with torch.device("meta"):
        backbone = build_backbone(make_cfg("convnext_tiny", PLAIN, "FrozenBN"), ShapeSpec(3))
    assert not [m for m in backbone.modules() if isinstance(m, tuple(NORM_TYPES.values()))]
    assert sum(isinstance(m, torch.nn.LayerNorm) for m in backbone.modules()) >= 18  # one a block


def test_an_unknown_norm_is_refused() -> None:
    with pytest.raises(UserError, match="unknown norm 'IN'"):
        build_backbone(make_cfg("mobilenet_v2", PLAIN, "IN"))
    with pytest.raises(UserError, match="unknown norm 'IN'"):
        build_backbone(make_cfg("resnet18", PLAIN, "IN"))


def detector_cfg(arch: Any, family: Any) -> Any:
    """Small detectors of the three families that take a plain residual network or a pyramid."""
    base = {
        "C4": "COCO-Detection/faster_rcnn_R_50_C4_1x.yaml",
        "DC5": "COCO-Detection/faster_rcnn_R_50_DC5_1x.yaml",
        "FPN": "COCO-Detection/faster_rcnn_R_50_FPN_1x.yaml",
        "RetinaNet": "COCO-Detection/retinanet_R_50_FPN_1x.yaml",
    }
    cfg = detection_defaults()
    cfg.merge_from_file(model_zoo.get_config_file(base[family]))
    cfg.MODEL.DEVICE = "cpu"
    cfg.MODEL.BACKBONE.ARCH = arch
    cfg.MODEL.BACKBONE.NAME = {"FPN": FPN, "RetinaNet": RETINANET}.get(family, PLAIN)
    cfg.MODEL.FPN.OUT_CHANNELS = 32
    cfg.MODEL.ROI_HEADS.NUM_CLASSES = cfg.MODEL.RETINANET.NUM_CLASSES = 3
    cfg.MODEL.RPN.POST_NMS_TOPK_TRAIN = cfg.MODEL.RPN.POST_NMS_TOPK_TEST = 20
    cfg.MODEL.ROI_BOX_HEAD.FC_DIM = 64
    if family == "C4":
        cfg.MODEL.ROI_HEADS.NAME = "RobustRes5ROIHeads"
    return cfg


@pytest.mark.parametrize(
    "arch, family",
    [
        ("resnet10_narrow", "C4"),
        ("resnet18", "C4"),
        ("resnet50", "C4"),
        ("resnet50", "DC5"),
        ("resnext50_32x4d", "C4"),
        ("vgg16_bn", "C4"),
        ("mnasnet1_0", "C4"),
        *((arch, "RetinaNet") for arch in ("resnet10_narrow", "vgg16_bn", "shufflenet_v2_x1_0")),
        *((arch, "FPN") for arch in ("densenet161", "mobilenet_v2", "mnasnet1_0", "convnext_tiny")),
    ],
)
def test_a_detector_trains_and_predicts(arch: Any, family: Any) -> None:
    torch.manual_seed(0)
    model = build_model(detector_cfg(arch, family))
    targets = Instances((64, 64))
    targets.gt_boxes = Boxes(torch.tensor([[8.0, 8.0, 40.0, 48.0]]))
    targets.gt_classes = torch.tensor([1])
    image = torch.randint(0, 256, (3, 64, 64), dtype=torch.uint8)
    with EventStorage():
        losses = model.train()([{"image": image, "instances": targets}])
    total = sum(losses.values())
    assert torch.isfinite(total)
    total.backward()
    reached = [p for n, p in model.backbone.named_parameters() if p.grad is not None]
    assert reached and all(torch.isfinite(p.grad).all() for p in reached)
    with torch.no_grad():
        (result,) = model.eval()([{"image": image}])
    assert result["instances"].image_size == (64, 64)
    if family == "DC5":
        assert model.backbone.output_shape()["res5"].stride == 16


@pytest.mark.parametrize(
    "arch, family",
    [("resnet18", "C4"), ("resnet50", "C4"), ("mobilenet_v2", "C4"), ("mobilenet_v2", "FPN")],
)
def test_a_backbone_file_fills_the_detector(
    arch: str, family: str, tmp_path: Path, write_classifier: Callable[..., Classifier]
) -> None:
    write_classifier(tmp_path / "in.pth", arch)
    convert(tmp_path / "in.pth", tmp_path / "out.pth")
    file = load_checkpoint(tmp_path / "out.pth")["model"]
    spelled = spelling(arch, "detectron2").names
    stages = {spelled[name]: stage for name, stage in tensor_stages(arch).items()}
    prefix = "backbone.bottom_up." if family == "FPN" else "backbone."
    for norm in ("FrozenBN", "GN"):
        cfg = detector_cfg(arch, family)
        cfg.MODEL.RESNETS.NORM = norm
        model = build_model(cfg)
        RobustCheckpointer(model).load(str(tmp_path / "out.pth"))
        own = model.state_dict()
        for name, tensor in file.items():
            statistic = name.endswith(("running_mean", "running_var"))
            if norm == "GN" and statistic:
                continue
            at_head = family == "C4" and stages[name] == "res5"
            # Detectron2's res5 are the blocks themselves, any other network's are in its body
            head = "roi_heads.res5." if name.startswith("body.") else "roi_heads."
            assert torch.equal(own[(head if at_head else prefix) + name], tensor)


def test_out_features_and_unknown_architecture() -> None:
    cfg = make_cfg("resnet10_narrow", PLAIN)
    cfg.MODEL.RESNETS.OUT_FEATURES = ["stem", "res4"]
    assert forward_shapes(build_backbone(cfg)) == {"stem": (16, 4), "res4": (64, 16)}
    cfg.MODEL.BACKBONE.ARCH = "mobilenet_v2"
    assert forward_shapes(build_backbone(cfg)) == {"stem": (16, 2), "res4": (96, 16)}
    cfg.MODEL.RESNETS.OUT_FEATURES = ["res6"]
    with pytest.raises(UserError, match="no stage 'res6'; it has stem, res2, res3, res4, res5"):
        build_backbone(cfg)
    cfg.MODEL.BACKBONE.ARCH = "resnet10narrow"
    with pytest.raises(UserError, match="did you mean 'resnet10_narrow'"):
        build_backbone(cfg)


@pytest.mark.parametrize(
    "arch, keys",
    [("resnet18", {"DEPTH": 18, "RES2_OUT_CHANNELS": 64}), ("resnet50", {"DEPTH": 50})],
)
def test_stock_detectron2_loads_a_backbone_file_completely(
    arch: str, keys: Any, tmp_path: Path, write_classifier: Callable[..., Classifier]
) -> None:
    """Nothing of ours but the file: stock config, stock FPN detector, stock checkpointer."""
    write_classifier(tmp_path / "in.pth", arch)
    card = convert(tmp_path / "in.pth", tmp_path / "out.pth").card
    cfg = model_zoo.get_config("COCO-Detection/faster_rcnn_R_50_FPN_1x.yaml")
    cfg.MODEL.DEVICE = "cpu"
    cfg.MODEL.RESNETS.STRIDE_IN_1X1 = False
    for key, value in keys.items():
        cfg.MODEL.RESNETS[key] = value
    cfg.MODEL.PIXEL_MEAN, cfg.MODEL.PIXEL_STD = list(card.pixel_mean), list(card.pixel_std)
    cfg.MODEL.ROI_BOX_HEAD.FC_DIM = 64  # Detectron2's own takes seconds to fill
    model = build_model(cfg)
    DetectionCheckpointer(model).load(str(tmp_path / "out.pth"))
    own = model.backbone.bottom_up.state_dict()
    file = load_checkpoint(tmp_path / "out.pth")["model"]
    assert set(own) == set(file)
    assert all(torch.equal(own[name], file[name]) for name in own)
