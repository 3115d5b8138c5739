"""Checkpoints of the robustness library, made by it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from torchvision.models.resnet import BasicBlock

from robust_det.checkpoints.backbone_file import read_card
from robust_det.checkpoints.model_file import read_model
from robust_det.conversion.convert import convert
from robust_det.conversion.proof import TOLERANCE
from robust_det.models import (
    ARCHITECTURES,
    Classifier,
)
from robust_det.models.narrow import NarrowResNet
from robust_det.models.registry import Architecture, ResNetLayout, register

from .networks import IMAGENET, LIMIT, difference

ROBUSTNESS = Path(__file__).parents[2] / "fixtures" / "robustness"
EXPECTED = torch.load(ROBUSTNESS / "expected.pt", weights_only=True)
# the arguments of the run, and functions in them
OBJECTS = (
    "objects were left out, and nothing of them was run: cox.utils.Parameters,"
    " dill._dill._create_cell, dill._dill._create_function and 4 more"
)


@pytest.fixture
def robustness_network() -> Iterator[Any]:
    """The architecture of the fixtures, registered for one test."""
    layout = ResNetLayout((1, 1, 1, 1), False, 8, 8, 8)
    register(
        Architecture(
            "resnet10_width8",
            lambda n: NarrowResNet(BasicBlock, [1, 1, 1, 1], width=8, num_classes=n),
            head="fc",
            stem="maxpool",
            stages=layout.stages,
            layout=layout,
        )
    )
    yield "resnet10_width8"
    del ARCHITECTURES["resnet10_width8"]


@pytest.mark.parametrize("name", EXPECTED)
def test_a_checkpoint_of_the_robustness_library(name: Any, robustness_network: Any) -> None:
    expected = EXPECTED[name]
    images, logits = expected["images"], expected["logits"]
    model = read_model(ROBUSTNESS / name)
    assert (model.arch, model.num_classes) == (robustness_network, 10)
    notes = (OBJECTS,) if name == "dill_python37.pt" else ()
    assert (model.format, model.notes) == ("robustness checkpoint", notes)
    assert model.mean == pytest.approx(expected["mean"], abs=1e-7)
    assert model.std == pytest.approx(expected["std"], abs=1e-7)
    assert difference(model, logits, images) <= LIMIT
    # so that the normalisation is seen to matter
    for mean, std in (IMAGENET, ((0.0,) * 3, (1.0,) * 3)):
        with torch.no_grad():
            got = Classifier(model.body(), mean, std).eval()(images)
        assert (got - logits).abs().max() / logits.abs().max() > 100 * LIMIT


def test_what_the_robustness_library_cannot_load_itself_is_read(robustness_network: Any) -> None:
    errors = {name: entry["loader_error"] for name, entry in EXPECTED.items()}
    assert errors["dill_python37.pt"].startswith("TypeError: code expected")
    model = read_model(ROBUSTNESS / "dill_python37.pt")
    expected = EXPECTED["dill_python37.pt"]
    assert difference(model, expected["logits"], expected["images"]) <= LIMIT


@pytest.mark.parametrize("name", EXPECTED)
def test_a_checkpoint_of_the_robustness_library_becomes_a_backbone(
    name: Any, robustness_network: Any, path: Path
) -> None:
    path = path.with_suffix(".pth")
    done = convert(ROBUSTNESS / name, path, norm="l2", eps=0.5)
    assert done.num_classes == 10
    assert done.differences.keys() == {"random", "real"}
    for by_stage in done.differences.values():
        assert list(by_stage) == ["res2", "res3", "res4", "res5"]
        assert max(by_stage.values()) <= TOLERANCE
    card = read_card(path)
    assert card == done.card
    assert (card.arch, card.norm, card.eps, card.input_format) == (
        robustness_network,
        "l2",
        0.5,
        "RGB",
    )
    expected = EXPECTED[name]
    assert card.pixel_mean == pytest.approx([255 * v for v in expected["mean"]], abs=1e-4)
    assert card.pixel_std == pytest.approx([255 * v for v in expected["std"]], abs=1e-4)
    # and back from there, nothing is lost
    again = read_model(path)
    assert difference(again, expected["logits"], expected["images"]) <= LIMIT
