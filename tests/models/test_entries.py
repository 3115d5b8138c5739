"""Entries of the registry that somebody adds: right ones work, wrong ones are named."""

from __future__ import annotations

import itertools
import re
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import nn
from torchvision import models as tv

from robust_det.backbones.builders import build_backbone
from robust_det.core.errors import UserError
from robust_det.models import ARCHITECTURES
from robust_det.models.registry import Architecture, Stage
from robust_det.models.stages import empty_network, tensor_stages

NUMBERS = itertools.count()
Add = Callable[[Architecture], str]


@pytest.fixture
def add(monkeypatch: pytest.MonkeyPatch) -> Add:
    """Return a function that registers an entry for the test, under a name of its own: what is
    found out of an entry is kept by name."""

    def register(architecture: Architecture) -> str:
        name = f"{architecture.name}_{next(NUMBERS)}"
        monkeypatch.setitem(ARCHITECTURES, name, replace(architecture, name=name))
        return name

    return register


def entry(name: str, head: str, stem: str, *stages: tuple[str, int]) -> Architecture:
    """An entry of the catalogue's form."""
    return Architecture(
        name,
        lambda classes: getattr(tv, name)(num_classes=classes),
        head,
        stem,
        tuple(Stage(f"res{i + 2}", n, c, 4 * 2**i) for i, (n, c) in enumerate(stages)),
    )


OTHERS = [
    entry(
        "regnet_y_400mf",
        "fc",
        "stem",
        *((f"trunk_output.block{i + 1}", c) for i, c in enumerate((48, 104, 208, 440))),
    ),
    entry(
        "efficientnet_b0",
        "classifier.1",
        "features.1",
        *(("features.2", 24), ("features.3", 40), ("features.5", 112), ("features.8", 1280)),
    ),
    entry(
        "mobilenet_v3_large",
        "classifier.3",
        "features.1",
        *(("features.3", 24), ("features.6", 40), ("features.12", 112), ("features.16", 960)),
    ),
]


@pytest.mark.parametrize("architecture", OTHERS, ids=lambda a: a.name)
def test_other_networks_of_torchvision(architecture: Architecture, add: Add) -> None:
    name = add(architecture)
    assert set(tensor_stages(name).values()) == {"stem", "res2", "res3", "res4", "res5", "head"}
    with torch.device("meta"):
        backbone = build_backbone(name, norm="BN")
    assert all(tensor.is_meta for tensor in backbone.state_dict().values())
    assert {s.name: (s.channels, s.stride) for s in architecture.stages} == {
        stage: (shape.channels, shape.stride) for stage, shape in backbone.output_shape().items()
    }
    momenta = {m.momentum for m in backbone.modules() if isinstance(m, nn.BatchNorm2d)}
    theirs = (m for m in architecture.build(1).modules() if isinstance(m, nn.BatchNorm2d))
    assert momenta == {m.momentum for m in theirs}


@pytest.mark.parametrize("width", [16, 32])
def test_a_network_that_computes_its_widths_with_tensors(width: int, add: Add) -> None:
    class Computed(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.first = nn.Conv2d(3, int(torch.tensor(float(width)).mul_(2).item()), 1)
            self.register_buffer("table", torch.arange(3).add_(1))

    name = add(replace(ARCHITECTURES["resnet18"], build=lambda n: Computed()))
    network = empty_network(name, 1)
    assert network.state_dict()["first.weight"].shape == (2 * width, 3, 1, 1)
    assert all(tensor.is_meta for tensor in network.state_dict().values())


MOBILENET = ARCHITECTURES["mobilenet_v2"]


def with_stage(index: int, **changes: Any) -> Architecture:
    stages = list(MOBILENET.stages)
    stages[index] = replace(stages[index], **changes)
    return replace(MOBILENET, stages=tuple(stages))


@pytest.mark.parametrize(
    "architecture, message",
    [
        (replace(MOBILENET, head="fc"), "its head 'fc' is no linear layer"),
        (replace(MOBILENET, stem="conv1"), "its stages conv1, features.3, features.6, features.13"),
        (with_stage(0, node="features.33"), "its stages features.1, features.33, features.6, f"),
        (with_stage(3, node="features.99"), "node: 'features.99' is not present in model"),
        (with_stage(1, channels=33), "res3, 'features.6', has 32 channels at stride 8, not 33 at"),
        (with_stage(1, stride=16), "has 32 channels at stride 8, not 32 at 16"),
        (
            with_stage(3, node="features.17"),
            "features.18.0.weight is neither in a stage, up to 'features.17', nor in the head",
        ),
        (
            entry("swin_t", "head", "features.0", *((f"features.{i}", 96) for i in (1, 3, 5, 7))),
            "norm.weight is neither in a stage, up to 'features.7', nor in the head 'head'",
        ),
    ],
)
def test_a_wrong_entry_is_named(architecture: Architecture, message: str, add: Add) -> None:
    name = add(architecture)
    with pytest.raises(UserError, match=re.escape(message)) as caught:
        tensor_stages(name)
        build_backbone(name)
    assert str(caught.value).startswith(f"the registry's entry of {name}: ")
    assert "\n" not in str(caught.value)
