"""The file of a converted backbone says what it is."""

from pathlib import Path
from typing import Any

import pytest
import torch

from robust_det.checkpoints.backbone_file import (
    CARD_KEY,
    BackboneCard,
    pixel_settings,
    read_card,
    write_backbone,
)
from robust_det.checkpoints.io import load_checkpoint, save_checkpoint
from robust_det.core.errors import UserError
from robust_det.models import IMAGENET_MEAN, IMAGENET_STD

CARD = BackboneCard(
    arch="resnet50",
    norm="linf",
    eps=4 / 255,
    pixel_mean=(123.675, 116.28, 103.53),
    pixel_std=(58.395, 57.12, 57.375),
    input_format="RGB",
    source_sha256="ab" * 32,
    differences={"res2": 1e-7, "res5": 2e-6},
)


def test_pixel_settings_are_those_of_imagenet_in_255ths() -> None:
    mean, std, order = pixel_settings(IMAGENET_MEAN, IMAGENET_STD)
    assert mean == pytest.approx((123.675, 116.28, 103.53), abs=1e-9)
    assert std == pytest.approx((58.395, 57.12, 57.375), abs=1e-9)
    assert order == "RGB"


@pytest.mark.parametrize("eps, norm", [(4 / 255, "linf"), (0.0, "l2"), (None, "")])
def test_a_card_comes_back_as_it_was(tmp_path: Path, eps: Any, norm: str) -> None:
    card = BackboneCard(**{**CARD.__dict__, "eps": eps, "norm": norm})
    write_backbone(tmp_path / "b.pth", {"stem.conv1.weight": torch.ones(2)}, card, {})
    assert read_card(tmp_path / "b.pth") == card


def test_the_file_has_what_stock_detectron2_needs(tmp_path: Path) -> None:
    rest = {"stem.fc.bias": torch.zeros(3)}
    write_backbone(tmp_path / "b.pth", {"stem.conv1.weight": torch.ones(2)}, CARD, rest)
    content = load_checkpoint(tmp_path / "b.pth")
    assert content["matching_heuristics"] is True and content["__author__"] == "robust_det"
    assert content["model"]["stem.conv1.weight"].tolist() == [1, 1]
    assert content["rest"]["stem.fc.bias"].tolist() == [0, 0, 0]


def test_a_card_of_an_earlier_version_is_read(tmp_path: Path) -> None:
    old = {k: v for k, v in CARD.plain().items() if k not in ("classes", "image_size")}
    save_checkpoint(tmp_path / "b.pth", {"model": {}, CARD_KEY: old})
    card = read_card(tmp_path / "b.pth")
    assert (card.classes, card.image_size, card.arch) == ((), 224, "resnet50")


def test_a_file_without_a_card_has_none(tmp_path: Path) -> None:
    save_checkpoint(tmp_path / "b.pth", {"model": {}})
    assert read_card(tmp_path / "b.pth") is None


@pytest.mark.parametrize("meta", [{"arch": "resnet50"}, 5, ["arch"]])
def test_an_incomplete_card_is_refused(tmp_path: Path, meta: Any) -> None:
    save_checkpoint(tmp_path / "b.pth", {"model": {}, CARD_KEY: meta})
    with pytest.raises(UserError, match=r"incomplete description.*convert again"):
        read_card(tmp_path / "b.pth")


@pytest.mark.parametrize(
    "field, value",
    [
        ("pixel_mean", 5),
        ("pixel_std", [1.0, 0.0, 1.0]),
        ("eps", "3"),
        ("arch", ["a"]),
        ("classes", 7),
        ("norm", "foo"),
        ("eps", -1.0),
        ("pixel_mean", [32512.5, 0.0, 0.0]),
        ("pixel_std", [58.0, -57.0, 57.0]),
        ("image_size", -5),
        ("image_size", 0),
        ("input_format", "BGR"),
    ],
)
def test_a_card_that_cannot_be_is_refused(tmp_path: Path, field: str, value: Any) -> None:
    save_checkpoint(tmp_path / "b.pth", {"model": {}, CARD_KEY: {**CARD.plain(), field: value}})
    shown = "a (list|tuple)" if isinstance(value, list) else value
    message = f"damaged description: {field} is {shown}; convert again"
    with pytest.raises(UserError, match=message):
        read_card(tmp_path / "b.pth")
