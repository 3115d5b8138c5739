"""One network under the names that libraries and tutorials give it: the logits are the same."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn
from torchvision.models.feature_extraction import create_feature_extractor

from robust_det.checkpoints.model_file import read_model
from robust_det.models import get_architecture

from .hugging_face import ConvNext, ResNet
from .networks import ASSUMED, LIMIT, difference, own_logits, pictures, torchvision_network


def children(network: Any) -> Any:
    """As transfer learning is taught: all but the head."""
    return nn.Sequential(*list(network.children())[:-1])


def stem_and_stages(network: Any) -> Any:
    parts = list(network.children())
    return nn.Sequential(nn.Sequential(*parts[:4]), *parts[4:8])


def in_layer0(network: Any) -> Any:
    parts = OrderedDict(list(network.named_children()))
    stem = OrderedDict((name, parts.pop(name)) for name in ("conv1", "bn1", "relu", "maxpool"))
    return nn.Sequential(OrderedDict(layer0=nn.Sequential(stem), **parts))


def numbered_stem(network: Any) -> Any:
    parts = OrderedDict(list(network.named_children()))
    stem = [parts.pop(name) for name in ("conv1", "bn1", "relu", "maxpool")]
    return nn.Sequential(OrderedDict(stem=nn.Sequential(*stem), **parts))


def nvidia(network: Any) -> Any:
    parts = OrderedDict(list(network.named_children()))
    stages = [parts.pop(f"layer{i}") for i in (1, 2, 3, 4)]
    return nn.Sequential(OrderedDict(**parts, layers=nn.Sequential(*stages)))


@torch.no_grad()
def same_features(path: Path, network: Any, arch: str) -> Any:
    """Return the model that was read; its features are those of the network."""
    model = read_model(path)
    assert model.arch == arch
    nodes = [stage.node for stage in get_architecture(arch).stages]
    ours = create_feature_extractor(model.body(), nodes)(pictures())
    theirs = create_feature_extractor(network.eval(), nodes)(pictures())
    for node in nodes:
        assert torch.equal(ours[node], theirs[node]), node
    return model


@pytest.mark.parametrize(
    "arrange, first, library, prefix",
    [
        (children, "0.weight", "nn.Sequential", ""),
        (children, "0.weight", "nn.Sequential", "backbone."),
        (children, "0.weight", "nn.Sequential", "0."),
        (stem_and_stages, "0.0.weight", "nested nn.Sequential", "module."),
        (in_layer0, "layer0.conv1.weight", "layer0.conv1", ""),
        (numbered_stem, "stem.0.weight", "stem.0", "encoder."),
        (nvidia, "layers.0.0.conv1.weight", "NVIDIA", "module."),
    ],
)
def test_residual_networks(
    path: Path,
    unsettle: Callable[..., Any],
    arrange: Any,
    first: str,
    library: str,
    prefix: str,
) -> None:
    network = unsettle(torchvision_network("resnet10_narrow"))
    state = arrange(network).state_dict()
    assert first in state
    torch.save({"state_dict": {prefix + n: t for n, t in state.items()}}, path)
    model = same_features(path, network, "resnet10_narrow")
    assert model.format == f"state dict in {library}'s names"
    assert model.notes == (ASSUMED,)
    has_head = any(name.startswith("fc.") for name in state)
    assert model.num_classes == (10 if has_head else 0)


@pytest.mark.parametrize("arch", ["mobilenet_v2", "mnasnet1_0", "shufflenet_v2_x1_0"])
def test_children_of_other_networks(path: Path, unsettle: Callable[..., Any], arch: str) -> None:
    network = unsettle(torchvision_network(arch))
    torch.save(children(network).state_dict(), path)
    assert same_features(path, network, arch).format == "state dict in nn.Sequential's names"


STRIDES = (
    "the file does not say downsample_in_bottleneck; false is assumed, the default: the 3x3"
    " convolutions stride"
)


@pytest.mark.parametrize(
    "make, arch, notes",
    [
        (
            lambda: ResNet(16, [16, 32, 64, 128], [1, 1, 1, 1], False, 10),
            "resnet10_narrow",
            (ASSUMED,),
        ),
        (
            lambda: ResNet(64, [256, 512, 1024, 2048], [3, 4, 6, 3], True, 10),
            "resnet50",
            (STRIDES, ASSUMED),
        ),
        (lambda: ConvNext(10), "convnext_tiny", (ASSUMED,)),
    ],
)
def test_hugging_face(
    path: Path, unsettle: Callable[..., Any], make: Any, arch: str, notes: tuple[str, ...]
) -> None:
    torch.manual_seed(0)
    network = unsettle(make())
    torch.save(network.state_dict(), path)
    model = read_model(path)
    assert (model.arch, model.num_classes, model.notes) == (arch, 10, notes)
    assert model.format == "state dict in Hugging Face's names"
    assert difference(model, own_logits(network)) <= LIMIT
    # AutoModel's file: the body alone, and without its name
    body = next(network.children()).state_dict()
    torch.save(body, path)
    model = read_model(path)
    assert (model.arch, model.num_classes) == (arch, 0)


def test_norms_that_evaluation_does_not_use(path: Path, unsettle: Callable[..., Any]) -> None:
    """timm's ``--split-bn`` has further norms for parts of a batch; a profiler leaves counts."""
    network = unsettle(torchvision_network("resnet10_narrow"))
    state = network.state_dict()
    extra = {
        name.replace("bn1.", "bn1.aux_bn.0."): torch.rand_like(tensor.float())
        for name, tensor in state.items()
        if "bn1." in name
    }
    counts = {"total_ops": torch.zeros(1), "layer1.0.conv1.total_ops": torch.zeros(1)}
    torch.save({**state, **extra, **counts}, path)
    model = same_features(path, network, "resnet10_narrow")
    assert model.notes[0].startswith("bn1.aux_bn.0.weight and ")
    assert model.notes[0].endswith(" more, which evaluation does not use, were left out")
