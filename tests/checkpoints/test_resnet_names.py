"""Names and shapes: torchvision's tensors are those of Detectron2's network, none left over."""

import pytest
import torch

from robust_det.backbones.builders import build_resnet
from robust_det.checkpoints.resnet_names import to_detectron2
from robust_det.detection.config import detection_defaults
from robust_det.models import ARCHITECTURES, build_classifier

# what a user of stock Detectron2 sets for the same network
STOCK = {
    "resnet18": {"DEPTH": 18, "RES2_OUT_CHANNELS": 64},
    "resnet34": {"DEPTH": 34, "RES2_OUT_CHANNELS": 64},
    "resnet50": {"DEPTH": 50},
    "resnet101": {"DEPTH": 101},
    "wide_resnet50_2": {"DEPTH": 50, "WIDTH_PER_GROUP": 128},
    "wide_resnet50_4": {"DEPTH": 50, "WIDTH_PER_GROUP": 256},
}


def converted(arch):
    with torch.device("meta"):
        body = build_classifier(arch, 10).body
    return to_detectron2(body.state_dict(), ARCHITECTURES[arch].head)


def shapes(state):
    return {name: tuple(tensor.shape) for name, tensor in state.items()}


@pytest.mark.parametrize("arch", ARCHITECTURES)
def test_every_tensor_has_its_place_and_none_is_left_over(arch):
    with torch.device("meta"):
        backbone = build_resnet(arch, norm="FrozenBN")
    assert shapes(converted(arch)) == shapes(backbone.state_dict())


@pytest.mark.parametrize("arch", ARCHITECTURES)
def test_two_tensors_of_a_counter_and_the_head_are_all_that_goes(arch):
    with torch.device("meta"):
        state = build_classifier(arch, 10).body.state_dict()
    counters = [name for name in state if name.endswith("num_batches_tracked")]
    assert len(converted(arch)) == len(state) - len(counters) - 2  # weight and bias of the head


@pytest.mark.parametrize("arch", STOCK)
def test_stock_detectron2_builds_the_same_network(arch):
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
        ours = build_resnet(arch)
    assert shapes(converted(arch)) == shapes(stock.state_dict())
    assert convolutions(ours) == convolutions(stock)


def convolutions(network):
    """Strides and paddings by name, which no tensor shows."""
    return {
        name: (module.stride, module.padding, module.dilation, module.groups)
        for name, module in network.named_modules()
        if isinstance(module, torch.nn.Conv2d)
    }


@pytest.mark.parametrize(
    "name", ["layer10.0.conv1.weight", "layer1.0.se.weight", "features.0.weight"]
)
def test_a_tensor_of_another_network_is_named(name):
    with pytest.raises(KeyError, match=name):
        to_detectron2({name: torch.zeros(1)}, "fc")


def test_values_are_the_same_objects_under_new_names():
    state = {
        "conv1.weight": torch.ones(1),
        "bn1.running_var": torch.full((1,), 2.0),
        "layer3.11.bn2.bias": torch.full((1,), 3.0),
        "layer4.0.downsample.1.running_mean": torch.full((1,), 4.0),
        "bn1.num_batches_tracked": torch.tensor(7),
        "fc.weight": torch.zeros(1),
    }
    assert {name: float(value) for name, value in to_detectron2(state, "fc").items()} == {
        "stem.conv1.weight": 1.0,
        "stem.conv1.norm.running_var": 2.0,
        "res4.11.conv2.norm.bias": 3.0,
        "res5.0.shortcut.norm.running_mean": 4.0,
    }
