from __future__ import annotations

import warnings

import pytest
import torch
from torchvision.models.feature_extraction import create_feature_extractor
from torchvision.models.resnet import BasicBlock

from robust_det.core.errors import UserError
from robust_det.models import ARCHITECTURES, Classifier, build_classifier, get_architecture
from robust_det.models.narrow import NarrowResNet
from robust_det.models.stages import tensor_stages


def test_normalisation_is_inside_the_model() -> None:
    mean, std = (0.5, 0.25, 0.0), (0.5, 0.25, 2.0)
    model = Classifier(torch.nn.Identity(), mean, std)
    out = model(torch.ones(1, 3, 1, 1))
    assert out.flatten().tolist() == [1.0, 3.0, 0.5]
    # stated once, in the checkpoint's description, and not among the weights
    assert list(model.state_dict()) == []


@pytest.mark.parametrize(
    "name, parameters",
    [
        ("resnet18", 11_689_512),
        ("resnet34", 21_797_672),
        ("resnet50", 25_557_032),
        ("resnet101", 44_549_160),
        ("resnet152", 60_192_808),
        ("resnext50_32x4d", 25_028_904),
        ("wide_resnet50_2", 68_883_240),
        ("wide_resnet50_4", 223_439_144),
        ("vgg16_bn", 138_365_992),
        ("densenet161", 28_681_000),
        ("mobilenet_v2", 3_504_872),
        ("mnasnet1_0", 4_383_312),
        ("shufflenet_v2_x1_0", 2_278_604),
        ("convnext_tiny", 28_589_128),
        ("convnext_small", 50_223_688),
        ("convnext_base", 88_591_464),
    ],
)
def test_parameter_counts_at_1000_classes(name: str, parameters: int) -> None:
    with torch.device("meta"):
        model = get_architecture(name).build(1000)
    assert sum(p.numel() for p in model.parameters()) == parameters


def test_wide_resnet50_4_is_four_times_as_wide_inside_the_blocks_only() -> None:
    with torch.device("meta"):
        shapes = {
            k: tuple(v.shape)
            for k, v in get_architecture("wide_resnet50_4").build(7).state_dict().items()
        }
    assert shapes["conv1.weight"] == (64, 3, 7, 7)
    assert shapes["layer1.0.conv1.weight"] == (256, 64, 1, 1)
    assert shapes["layer1.0.conv2.weight"] == (256, 256, 3, 3)
    assert shapes["layer1.0.conv3.weight"] == (256, 256, 1, 1)
    assert shapes["layer4.2.conv2.weight"] == (2048, 2048, 3, 3)
    assert shapes["layer4.2.conv3.weight"] == (2048, 2048, 1, 1)
    assert shapes["fc.weight"] == (7, 2048)


@pytest.mark.parametrize("name", list(ARCHITECTURES))
def test_stages_have_the_announced_widths_and_strides(name: str) -> None:
    architecture = get_architecture(name)
    with torch.device("meta"), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # about nodes of training that evaluation lacks
        body = architecture.build(3).eval()
        nodes = {stage.node: stage.name for stage in architecture.stages}
        features = create_feature_extractor(body, nodes)(torch.empty(1, 3, 64, 64))
        logits = body(torch.empty(1, 3, 64, 64))
    assert logits.shape == (1, 3)
    assert body.get_submodule(architecture.head).out_features == 3
    for stage in architecture.stages:
        side = 64 // stage.stride
        assert tuple(features[stage.name].shape) == (1, stage.channels, side, side)
    assert [s.name for s in architecture.stages] == ["res2", "res3", "res4", "res5"]
    assert [s.stride for s in architecture.stages] == [4, 8, 16, 32]


@pytest.mark.parametrize("name", list(ARCHITECTURES))
def test_a_stage_depends_on_its_tensors_and_on_no_later_ones(name: str) -> None:
    """What FREEZE_AT freezes: gradients show which parameters a stage's features come from."""
    if name.startswith(
        ("wide_resnet50_4", "resnet101", "resnet152", "convnext_base", "convnext_small")
    ):
        pytest.skip("the same definition as a smaller network, and slow")
    architecture = get_architecture(name)
    torch.manual_seed(0)
    body = architecture.build(3).eval()
    stages = tensor_stages(name)
    order = ["stem", "res2", "res3", "res4", "res5"]
    nodes = {architecture.stem: "stem", **{s.node: s.name for s in architecture.stages}}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        extractor = create_feature_extractor(body, nodes)
    features = extractor(torch.rand(1, 3, 64, 64))
    for i, stage in enumerate(order):
        body.zero_grad(set_to_none=True)
        features[stage].sum().backward(retain_graph=True)
        reached = {n for n, p in extractor.named_parameters() if p.grad is not None}
        allowed = {n for n, s in stages.items() if s in order[: i + 1]}
        assert reached <= allowed
        # all of them, but that an in-place or unused branch may hide none
        assert reached == {n for n, _ in extractor.named_parameters()} & allowed


def test_narrow_resnet_at_width_64_is_torchvision_s() -> None:
    torch.manual_seed(0)
    ours = NarrowResNet(BasicBlock, [2, 2, 2, 2], width=64, num_classes=10).eval()
    theirs = get_architecture("resnet18").build(10).eval()
    theirs.load_state_dict(ours.state_dict())  # the same names and shapes
    x = torch.randn(2, 3, 64, 64)
    assert torch.equal(ours(x), theirs(x))


def test_narrow_resnet_is_small_and_trains() -> None:
    model = build_classifier("resnet10_narrow", 10)
    assert sum(p.numel() for p in model.parameters()) == 310_746
    model(torch.rand(2, 3, 32, 32)).sum().backward()
    assert all(p.grad is not None for p in model.parameters())


def test_unknown_architecture_suggests_the_nearest() -> None:
    with pytest.raises(UserError, match="did you mean 'wide_resnet50_4'") as caught:
        build_classifier("wide_resnet50-4", 10)
    assert "resnet101" not in str(caught.value)
    with pytest.raises(UserError) as caught:
        build_classifier("inception", 10)
    assert all(name in str(caught.value) for name in ARCHITECTURES)


def test_a_name_is_registered_once() -> None:
    from robust_det.models import register

    with pytest.raises(ValueError, match="registered already"):
        register(ARCHITECTURES["resnet18"])
