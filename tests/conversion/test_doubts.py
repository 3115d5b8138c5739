"""What a network's own statistics say against what was made of it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from robust_det.checkpoints.model import Model
from robust_det.checkpoints.model_file import read_model
from robust_det.conversion.doubts import deviation, doubts
from robust_det.data.samples import photographs
from robust_det.models import IMAGENET_MEAN, IMAGENET_STD, Normalize, build_classifier


def calibrated(arch: str, change: Callable[[Any], None] = lambda body: None) -> Model:
    """Return a network whose norms have seen photographs, though no more than a few.

    Args:
        arch: of the network.
        change: is made to the network before it sees them, and does not show in its tensors.
    """
    torch.manual_seed(0)
    body: Any = build_classifier(arch, 2).body
    for module in body.modules():
        if isinstance(module, nn.BatchNorm2d):
            nn.init.uniform_(module.weight, 0.4, 1.2)
            nn.init.normal_(module.bias, 0, 0.2)
            module.momentum = 1.0
    change(body)
    # others than those that it is judged by
    images = photographs().flip(-1)[..., 16:, :144]
    with torch.no_grad():
        body.train()(Normalize(IMAGENET_MEAN, IMAGENET_STD)(images))
    return Model(arch, {n: t.clone() for n, t in body.state_dict().items()}, "")


def with_activation(activation: nn.Module) -> Callable[[Any], None]:
    def change(body: Any) -> None:
        for module in body.modules():
            if hasattr(module, "relu"):
                module.relu = activation

    return change


def test_a_network_of_photographs_raises_no_doubts() -> None:
    model = calibrated("resnet18")
    assert doubts(model) == [] and 0 < (deviation(model) or 0) < 0.2


@pytest.mark.parametrize(
    "change, words",
    [
        (with_activation(nn.SiLU()), "not those of photographs"),
        (with_activation(nn.GELU()), "GELU in place of ReLU"),
        (lambda body: setattr(body, "maxpool", nn.AvgPool2d(3, 2, 1)), "not those of photographs"),
    ],
)
def test_what_names_do_not_show(change: Callable[[Any], None], words: str) -> None:
    (note,) = doubts(calibrated("resnet18", change))
    assert words in note


@pytest.mark.parametrize(
    "mean, std", [((0.0,) * 3, (1 / 255,) * 3), ((0.0,) * 3, (1.0,) * 3)], ids=["255", "unit"]
)
def test_images_of_another_range(mean: Any, std: Any) -> None:
    (note,) = doubts(replace(calibrated("resnet18"), mean=mean, std=std))
    assert "takes other images" in note


def test_what_has_seen_nothing_says_nothing() -> None:
    body = build_classifier("resnet10_narrow", 2).body
    model = Model("resnet10_narrow", body.state_dict(), "")
    assert deviation(model) is None and doubts(model) == []
    other = build_classifier("convnext_tiny", 2).body.state_dict()
    assert doubts(Model("convnext_tiny", other, "")) == []


def test_a_file_that_describes_itself_is_not_asked(classifier_file: Path) -> None:
    model = read_model(classifier_file)
    assert model.described and doubts(model) == []
    assert doubts(replace(model, described=False)) != []
