"""The network up to the last linear layer: what torchvision's own gives to that layer."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import nn
from torchvision import models as tv

from robust_det.checkpoints.model import Model
from robust_det.core.errors import FileError
from robust_det.models import ARCHITECTURES, get_architecture
from robust_det.models.stages import empty_network
from robust_det.transfer.features.network import FeatureNetwork, feature_network

MEAN, STD = (0.41, 0.52, 0.63), (0.21, 0.25, 0.3)


def read(arch: str, state: dict[str, torch.Tensor]) -> FeatureNetwork:
    return feature_network(Model(arch, state, "test", mean=MEAN, std=STD), "some.pth")


def relative(a: torch.Tensor, b: torch.Tensor) -> float:
    return ((a - b).norm() / b.norm()).item()


def stock_network(arch: str) -> nn.Module:
    """Return torchvision's network; drawing VGG's 134 million numbers would take seconds."""
    with torch.device("meta"):
        network = getattr(tv, arch)(num_classes=3)
    network.to_empty(device="cpu")
    pattern = torch.randn(4099)  # a prime: no two rows are alike
    for tensor in network.parameters():
        repeated = pattern.repeat(-(-tensor.numel() // len(pattern)))[: tensor.numel()]
        tensor.data = repeated.view_as(tensor) / tensor[0].numel() ** 0.5
    return network


@pytest.mark.parametrize("arch", ["resnet18", "mobilenet_v2", "vgg16_bn", "convnext_tiny"])
def test_features_are_what_torchvision_gives_its_last_layer(arch: str, randomise: Callable) -> None:
    stock = randomise(stock_network(arch))
    seen: list[torch.Tensor] = []
    last: Any = stock.get_submodule(get_architecture(arch).head)
    last.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
    images = torch.rand(2, 3, 40, 40)
    mean, std = (torch.tensor(values).view(3, 1, 1) for values in (MEAN, STD))
    with torch.inference_mode():
        stock((images - mean) / std)
        network = read(arch, stock.state_dict())
        plain = network.module(images)
        with network.running() as module:
            folded = module(images)
            left = [m for m in module.modules() if isinstance(m, nn.BatchNorm2d)]
    assert plain.shape == (2, network.width) == (2, last.in_features)
    assert relative(plain, seen[0]) < 1e-6
    assert relative(folded, seen[0]) < 1e-4 and not left


@pytest.mark.parametrize("arch", ARCHITECTURES)
def test_every_architecture_has_the_width_of_its_last_layer(arch: str) -> None:
    empty = empty_network(arch, 3)
    network = read(arch, empty.state_dict())
    out = network.module.to("meta")(torch.empty(2, 3, 64, 64, device="meta"))
    head: Any = empty.get_submodule(get_architecture(arch).head)
    assert out.shape == (2, network.width) == (2, head.in_features)
    assert not network.module.training
    assert not any(p.requires_grad for p in network.module.parameters())


def test_a_backbone_without_its_linear_layer_gives_the_same() -> None:
    state = tv.resnet18(num_classes=3).state_dict()
    backbone = {name: tensor for name, tensor in state.items() if not name.startswith("fc.")}
    images = torch.rand(2, 3, 32, 32)
    with torch.inference_mode():
        assert torch.equal(
            read("resnet18", backbone).module(images), read("resnet18", state).module(images)
        )


@pytest.mark.parametrize(
    "arch, lost", [("vgg16_bn", "classifier.0"), ("convnext_tiny", "classifier.0")]
)
def test_a_backbone_without_hidden_layers_of_its_head_is_refused(arch: str, lost: str) -> None:
    state = empty_network(arch, 3).state_dict()
    backbone = {name: tensor for name, tensor in state.items() if name.startswith("features")}
    with pytest.raises(FileError) as raised:
        read(arch, backbone)
    assert str(raised.value) == (
        f"some.pth lacks {lost}.weight, which is between the backbone of {arch} and its last"
        " linear layer; give a file of these weights with their head"
    )


def test_what_cannot_be_traced_runs_as_it_is_and_says_so(
    caplog: pytest.LogCaptureFixture,
) -> None:
    class Branching(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.norm = nn.BatchNorm2d(3)  # without one there is nothing to fold

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            x = self.norm(x)
            return x.mean((2, 3)) if x.sum() > 0 else x.amax((2, 3))

    network = FeatureNetwork(Branching(), 3, "branching")
    with caplog.at_level(logging.WARNING), network.running() as module:
        assert module is network.module
    (record,) = caplog.records
    assert "branching runs with its batch norms as they are" in record.message
