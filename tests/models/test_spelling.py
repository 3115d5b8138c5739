"""Names and shapes: every tensor has its place in each library's network, and none is left over."""

from typing import Any

import pytest
import torch

from robust_det.backbones.builders import build_backbone
from robust_det.core.errors import UserError
from robust_det.detection.config import detection_defaults
from robust_det.models import ARCHITECTURES, build_classifier
from robust_det.models.spelling import COUNTER, distinct_spellings, spelling
from robust_det.models.stages import tensor_shapes

# what a user of stock Detectron2 sets for the same network
STOCK = {
    "resnet18": {"DEPTH": 18, "RES2_OUT_CHANNELS": 64},
    "resnet34": {"DEPTH": 34, "RES2_OUT_CHANNELS": 64},
    "resnet50": {"DEPTH": 50},
    "resnet101": {"DEPTH": 101},
    "resnet152": {"DEPTH": 152},
    "wide_resnet50_2": {"DEPTH": 50, "WIDTH_PER_GROUP": 128},
    "wide_resnet50_4": {"DEPTH": 50, "WIDTH_PER_GROUP": 256},
    "resnext50_32x4d": {"DEPTH": 50, "NUM_GROUPS": 32, "WIDTH_PER_GROUP": 4},
}
# what timm calls them; it has no ShuffleNet, and no WideResNet-50-4 of this name
TIMM = {
    "resnet18": "resnet18",
    "resnet34": "resnet34",
    "resnet50": "resnet50",
    "resnet101": "resnet101",
    "resnet152": "resnet152",
    "wide_resnet50_2": "wide_resnet50_2",
    "resnext50_32x4d": "resnext50_32x4d",
    "vgg16_bn": "vgg16_bn",
    "densenet161": "densenet161",
    "mobilenet_v2": "mobilenetv2_100",
    "mnasnet1_0": "mnasnet_100",
    "convnext_tiny": "convnext_tiny",
    "convnext_small": "convnext_small",
    "convnext_base": "convnext_base",
}


def meta_state(arch: Any, classes: int = 10) -> Any:
    with torch.device("meta"):
        return build_classifier(arch, classes).body.state_dict()


def in_detectron2(arch: Any) -> Any:
    """The tensors that a backbone has, by Detectron2's names."""
    state = {n: t for n, t in meta_state(arch).items() if COUNTER not in n}
    state = {n: t for n, t in state.items() if not ARCHITECTURES[arch].in_head(n)}
    return shapes(spelling(arch, "detectron2").write(state))


def shapes(state: Any) -> dict[Any, Any]:
    return {name: tuple(tensor.shape) for name, tensor in state.items()}


@pytest.mark.parametrize("arch", ARCHITECTURES)
def test_every_tensor_has_its_place_in_detectron2(arch: Any) -> None:
    with torch.device("meta"):
        backbone = build_backbone(arch, norm="FrozenBN")
    assert in_detectron2(arch) == {
        name: shape for name, shape in shapes(backbone.state_dict()).items() if COUNTER not in name
    }


@pytest.mark.parametrize("arch", STOCK)
def test_stock_detectron2_builds_the_same_network(arch: Any) -> None:
    # not at the top: robust_det.detection has to come first
    from detectron2.layers import ShapeSpec
    from detectron2.modeling.backbone import build_resnet_backbone

    cfg = detection_defaults()
    cfg.MODEL.RESNETS.STRIDE_IN_1X1 = False
    cfg.MODEL.RESNETS.OUT_FEATURES = ["res5"]
    for key, value in STOCK[arch].items():
        cfg.MODEL.RESNETS[key] = value
    with torch.device("meta"):
        stock = build_resnet_backbone(cfg, ShapeSpec(channels=3))
        ours = build_backbone(arch)
    assert in_detectron2(arch) == shapes(stock.state_dict())
    assert convolutions(ours) == convolutions(stock)


def convolutions(network: Any) -> dict[Any, Any]:
    """Strides and paddings by name, which no tensor shows."""
    return {
        name: (module.stride, module.padding, module.dilation, module.groups)
        for name, module in network.named_modules()
        if isinstance(module, torch.nn.Conv2d)
    }


@pytest.mark.parametrize("arch", TIMM)
def test_timm_has_the_same_tensors_under_its_names(arch: Any) -> None:
    timm = pytest.importorskip("timm")
    with torch.device("meta"):
        theirs = timm.create_model(TIMM[arch], num_classes=10)
    assert shapes(spelling(arch, "timm").write(meta_state(arch))) == shapes(theirs.state_dict())


def test_what_timm_does_not_have_is_refused() -> None:
    for arch in ARCHITECTURES.keys() - TIMM.keys():
        with pytest.raises(
            UserError, match=f"no names of timm are known for {arch}; use --to torchvision"
        ):
            spelling(arch, "timm")


@pytest.mark.parametrize("arch", ARCHITECTURES)
def test_spellings_are_one_to_one(arch: Any) -> None:
    for spelled in distinct_spellings(arch):
        assert list(spelled.names) == list(tensor_shapes(arch))
        assert len(set(spelled.names.values())) == len(spelled.names)


def test_values_keep_their_bits_and_the_head_its_width() -> None:
    state = {
        "features.1.0.layer_scale": torch.rand(96, 1, 1),
        "classifier.2.weight": torch.rand(7, 768),
        "features.0.0.bias": torch.rand(96),
    }
    written = spelling("convnext_tiny", "timm").write(state)
    assert shapes(written) == {
        "stages.0.blocks.0.gamma": (96,),
        "head.fc.weight": (7, 768),
        "stem.0.bias": (96,),
    }
    for old, new in zip(state.values(), written.values(), strict=True):
        assert torch.equal(old.flatten(), new.flatten())
