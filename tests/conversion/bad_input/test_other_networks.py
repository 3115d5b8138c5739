"""Networks that are not registered, or lack something."""

from __future__ import annotations

import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn
from torch.nn.utils import prune
from torchvision import models as tv

from robust_det.models import ARCHITECTURES
from tests.support import Outcome


@pytest.mark.parametrize("arch", ["squeezenet1_0", "efficientnet_b0"])
def test_a_network_that_is_not_registered(
    tmp_path: Path, refused: Callable[..., str], arch: str
) -> None:
    path = tmp_path / "weights.pth"
    state = getattr(tv, arch)(num_classes=10).state_dict()
    torch.save(state, path)
    message = refused(path, tmp_path / "out.pth")
    first, tensor = next(iter(state.items()))
    shape = "x".join(map(str, tensor.shape))
    assert f"holds tensors that are not those of a registered architecture: {first} {shape}" in (
        message
    )
    for known in ARCHITECTURES:
        assert known in message
    assert "or register this one" in message


def test_a_near_relative_of_a_registered_network(
    tmp_path: Path, refused: Callable[..., str]
) -> None:
    timm = pytest.importorskip("timm")
    path = tmp_path / "weights.pth"
    torch.save(timm.create_model("resnet50d", num_classes=10).state_dict(), path)
    message = refused(path, tmp_path / "out.pth")
    assert (
        "is not a registered architecture: the nearest is resnet50, with tensors 17 missing"
        " (first: conv1.weight), 4 of another shape (first: layer1.0.downsample.1.weight is"
        " 256x64x1x1, not 256), 33 unexpected (first: conv1.0.weight); say --arch timm:NAME if it"
        " is one of timm's, or register it"
    ) in message


def test_a_block_with_something_more_in_it(
    tmp_path: Path, refused: Callable[..., str], state: dict[str, torch.Tensor]
) -> None:
    torch.save({**state, "layer4.0.se.weight": torch.rand(3)}, tmp_path / "weights.pth")
    message = refused(tmp_path / "weights.pth", tmp_path / "out.pth")
    assert (
        "the nearest is resnet10_narrow, with tensors 1 unexpected (first: layer4.0.se.weight)"
    ) in message


def test_networks_of_caffe2(tmp_path: Path, refused: Callable[..., str]) -> None:
    names = {"conv1_w": (64, 3, 7, 7), "res_conv1_bn_s": (64,), "res2_0_branch2a_w": (64, 64, 1, 1)}
    with open(tmp_path / "R-50.pkl", "wb") as file:
        blobs = {name: torch.rand(shape).numpy() for name, shape in names.items()}
        pickle.dump({"model": blobs, "__author__": "Caffe2"}, file)
    message = refused(tmp_path / "R-50.pkl", tmp_path / "out.pth")
    assert "holds Caffe2 names (conv1_w)" in message and "use weights of torchvision" in message


@pytest.mark.parametrize(
    "lost, what",
    [
        ("layer4.", "res5 (no layer4.0.conv1.weight and 14 more)"),
        (("layer3.", "layer4."), "res4, res5 (no layer3.0.conv1.weight and 29 more)"),
        (("conv1.", "bn1."), "stem (no conv1.weight and 4 more)"),
        ("conv1.", "conv1.weight"),
        ("layer2.0.bn2.", "layer2.0.bn2.weight and 3 more"),
    ],
)
def test_stages_that_are_missing(
    tmp_path: Path,
    refused: Callable[..., str],
    state: dict[str, torch.Tensor],
    lost: Any,
    what: str,
) -> None:
    path = tmp_path / "weights.pth"
    torch.save({n: t for n, t in state.items() if not n.startswith(lost)}, path)
    assert refused(path, tmp_path / "out.pth") == (
        f"{path} is a resnet10_narrow without {what}; give the file of the whole network"
    )


@pytest.mark.parametrize("channels, said", [(1, "1 channel,"), (4, "4 channels,")])
def test_images_of_other_than_three_channels(
    tmp_path: Path,
    refused: Callable[..., str],
    state: dict[str, torch.Tensor],
    channels: int,
    said: str,
) -> None:
    path = tmp_path / "weights.pth"
    torch.save({**state, "conv1.weight": torch.rand(16, channels, 7, 7)}, path)
    assert refused(path, tmp_path / "out.pth") == (
        f"{path} is a resnet10_narrow for images of {said} and a detector's have 3 (RGB); take a"
        " network of RGB images"
    )


def test_norms_of_another_kind(tmp_path: Path, refused: Callable[..., str]) -> None:
    path = tmp_path / "weights.pth"
    network = tv.resnet18(num_classes=10, norm_layer=lambda width: nn.GroupNorm(8, width))
    torch.save(network.state_dict(), path)
    assert refused(path, tmp_path / "out.pth") == (
        f"{path} is a resnet18 without running_mean and running_var: its norms are group or layer"
        " norms, not batch norms, or its parameters alone were saved; give the state_dict() of a"
        " network with batch norms"
    )


def test_a_pruned_network(
    tmp_path: Path,
    refused: Callable[..., str],
    tool: Callable[..., Outcome],
    network: torch.nn.Module,
) -> None:
    path = tmp_path / "weights.pth"
    convolutions = [m for m in network.modules() if isinstance(m, nn.Conv2d)]
    for convolution in convolutions:
        prune.l1_unstructured(convolution, "weight", 0.3)
    torch.save(network.state_dict(), path)
    assert refused(path, tmp_path / "out.pth") == (
        f"{path} is pruned (conv1.weight_orig and its mask); make that permanent with"
        " torch.nn.utils.prune.remove and save again"
    )
    for convolution in convolutions:
        prune.remove(convolution, "weight")
    torch.save(network.state_dict(), path)
    code, _, err = tool(path, tmp_path / "out.pth")
    assert (code, err) == (0, "")


@pytest.mark.filterwarnings("ignore:torch.quantize_per_tensor")
@pytest.mark.parametrize("names", [["layer1.0.conv1.weight"], ["layer1.0.conv1.weight", "fc.bias"]])
@pytest.mark.parametrize(
    "change, kind",
    [
        (lambda t: torch.quantize_per_tensor(t, 0.1, 0, torch.qint8), "qtensor"),
        (lambda t: t.to_sparse(), "sparse_tensor"),
    ],
)
def test_tensors_that_are_not_rebuilt(
    tmp_path: Path,
    refused: Callable[..., str],
    state: dict[str, torch.Tensor],
    names: Any,
    change: Any,
    kind: str,
) -> None:
    path = tmp_path / "weights.pth"
    torch.save({**state, **{name: change(state[name]) for name in names}}, path)
    more = " and 1 more" if len(names) > 1 else ""
    assert refused(path, tmp_path / "out.pth") == (
        f"{path} holds layer1.0.conv1.weight{more} as torch._utils._rebuild_{kind}, which is not"
        " rebuilt; save plain tensors, neither quantised nor sparse"
    )
