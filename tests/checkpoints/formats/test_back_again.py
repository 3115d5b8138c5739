"""Back from Detectron2 to torchvision and timm, bit by bit."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from torchvision import models as tv

from robust_det.backbones.builders import build_backbone
from robust_det.checkpoints.model_file import read_model
from robust_det.conversion.convert import convert

from .networks import LIMIT, difference, own_logits, same_features, same_tensors


@pytest.mark.parametrize(
    "arch", ["resnet18", "resnet50", "mobilenet_v2", "mnasnet1_0", "shufflenet_v2_x1_0"]
)
def test_to_detectron2_and_back_is_exact(
    path: Path, unsettle: Callable[..., Any], arch: str
) -> None:
    build = getattr(tv, arch)
    network = unsettle(build(num_classes=10))
    there, back = path.with_name("there.pth"), path.with_name("back.pth")
    torch.save(network.state_dict(), path)
    convert(path, there)
    done = convert(there, back, to="torchvision")
    assert (done.format, done.num_classes) == ("converted backbone", 10)
    state, expected = torch.load(back, weights_only=True), network.state_dict()
    assert list(state) == list(expected)
    same_tensors(state, expected)
    # torchvision's own networks take it, and MNASNet looks at the version beside the tensors
    fresh = build(num_classes=10)
    fresh.load_state_dict(state)
    assert torch.equal(own_logits(fresh), own_logits(network))


def test_the_way_back_ends_in_safetensors_as_well(path: Path, unsettle: Callable[..., Any]) -> None:
    network = unsettle(tv.resnet18(num_classes=10))
    there, back = path.with_name("there.pth"), path.with_name("back.safetensors")
    save_file(network.state_dict(), path)
    convert(path, there)
    convert(there, back, to="torchvision")
    same_tensors(load_file(back), network.state_dict())
    assert difference(read_model(back), own_logits(network)) <= LIMIT


@pytest.mark.parametrize(
    "arch, name, suffix",
    [
        ("resnet18", "resnet18", ".safetensors"),
        ("mobilenet_v2", "mobilenetv2_100", ".pth"),
        ("mnasnet1_0", "mnasnet_100", ".bin"),
        ("convnext_tiny", "convnext_tiny", ".safetensors"),
    ],
)
def test_to_timm_by_way_of_detectron2(
    path: Path, unsettle: Callable[..., Any], arch: str, name: str, suffix: str
) -> None:
    timm = pytest.importorskip("timm")
    network = unsettle(getattr(tv, arch)(num_classes=10))
    there, target = path.with_name("there.pth"), path.with_name(f"timm{suffix}")
    torch.save(network.state_dict(), path)
    convert(path, there)
    convert(there, target, to="timm")
    state = load_file(target) if suffix == ".safetensors" else torch.load(target, weights_only=True)
    fresh = timm.create_model(name, num_classes=10)
    fresh.load_state_dict(state)
    expected = own_logits(network)
    assert (own_logits(fresh) - expected).abs().max() / expected.abs().max() <= LIMIT
    same_tensors(dict(read_model(target).state), network.state_dict())


def test_a_file_of_detectron2_loads_into_its_own_network(
    path: Path, unsettle: Callable[..., Any]
) -> None:
    """Stock Detectron2's checkpointer fills its network from our file alone."""
    from detectron2.checkpoint import DetectionCheckpointer

    network = unsettle(tv.resnet18(num_classes=10))
    torch.save(network.state_dict(), path)
    target = path.with_suffix(".pth")
    convert(path, target)
    backbone = build_backbone("resnet18", norm="FrozenBN")
    DetectionCheckpointer(backbone).load(str(target))
    same_features(backbone, read_model(path))
