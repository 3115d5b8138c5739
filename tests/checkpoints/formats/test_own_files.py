"""The project's own checkpoints, backbones and detectors."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file

from robust_det.checkpoints.model_file import read_model
from robust_det.checkpoints.pretrained import FORMAT
from robust_det.conversion.convert import convert
from robust_det.core.errors import UserError
from robust_det.detection.checkpointer import RobustCheckpointer
from robust_det.detection.config import load_config
from robust_det.models import (
    ModelCard,
    build_classifier,
)

from .networks import LIMIT, difference, pictures, same_features, same_tensors


@pytest.mark.parametrize("with_ema", [False, True])
def test_a_checkpoint_of_pretraining(
    path: Path, unsettle: Callable[..., Any], with_ema: bool
) -> None:
    mean, std = (0.41, 0.52, 0.63), (0.21, 0.25, 0.3)
    network, averaged = (
        unsettle(build_classifier("resnet10_narrow", 4, mean, std), seed) for seed in (0, 1)
    )
    card = ModelCard("resnet10_narrow", "linf", 4 / 255, mean, std, 48, ("a", "b", "c", "d"))
    content = {"format": FORMAT, "meta": card.plain(), "model": network.body.state_dict()}
    if with_ema:
        content["ema"] = averaged.body.state_dict()
    torch.save(content, path)
    model = read_model(path)
    assert (model.format, model.notes) == ("checkpoint of tools/pretrain.py", ())
    assert (model.arch, model.norm, model.eps) == ("resnet10_narrow", "linf", 4 / 255)
    assert (model.mean, model.std, model.image_size) == (mean, std, 48)
    assert model.classes == ("a", "b", "c", "d")
    used, other = (averaged, network) if with_ema else (network, averaged)
    with torch.no_grad():
        assert difference(model, used(pictures())) <= LIMIT
        assert difference(model, other(pictures())) > 0.01


def test_a_converted_backbone_is_still_the_classifier(
    classifier_file: Path, backbone_file: Path
) -> None:
    source, model = read_model(classifier_file), read_model(backbone_file)
    assert (model.format, model.notes) == ("converted backbone", ())
    assert (model.arch, model.norm, model.eps) == ("resnet10_narrow", "l2", 0.5)
    assert (model.classes, model.image_size) == (source.classes, 48)
    assert model.mean == pytest.approx(source.mean, abs=1e-9)
    same_tensors(dict(model.state), dict(source.state))
    with torch.no_grad():
        assert difference(model, source.classifier()(pictures())) <= LIMIT


def test_a_safetensors_file_carries_its_card(path: Path, classifier_file: Path) -> None:
    target = path.with_suffix(".safetensors")
    done = convert(classifier_file, target, to="torchvision")
    model = read_model(target)
    assert (model.format, model.notes) == ("converted state dict", ())
    assert (model.arch, model.norm, model.eps) == ("resnet10_narrow", "l2", 0.5)
    assert (model.classes, model.image_size) == (("a", "b", "c", "d"), 48)
    assert model.mean == pytest.approx((0.41, 0.52, 0.63), abs=1e-9)
    assert model.std == pytest.approx((0.21, 0.25, 0.3), abs=1e-9)
    same_tensors(dict(model.state), dict(read_model(classifier_file).state))
    again = convert(target, path.with_suffix(".pth"))
    assert again.card.pixel_mean == pytest.approx(done.card.pixel_mean, abs=1e-9)
    save_file(load_file(target), target, {**safe_open(target, "pt").metadata(), "eps": "half"})
    with pytest.raises(UserError, match="has a damaged description; convert again"):
        read_model(target)


def test_a_detector_carries_its_card(
    tmp_path: Path, write_config: Callable[..., Path], backbone_file: Path
) -> None:
    from detectron2.modeling import build_model

    cfg, card = load_config(str(write_config()))
    detector = build_model(cfg)
    checkpointer = RobustCheckpointer(detector, str(tmp_path), card=card)
    checkpointer.resume_or_load(str(backbone_file), resume=False)
    with torch.no_grad():  # as if it had been fine-tuned
        for parameter in detector.backbone.bottom_up.parameters():
            parameter.mul_(1.01)
    checkpointer.save("model_final", iteration=5)
    model = read_model(tmp_path / "model_final.pth")
    assert (model.format, model.num_classes, model.classes) == ("detector", 0, ())
    assert model.notes == ("a detector was fine-tuned: norm and eps are of its pretraining",)
    assert (model.arch, model.norm, model.eps, model.image_size) == (
        "resnet10_narrow",
        "l2",
        0.5,
        48,
    )
    assert model.mean == pytest.approx((0.41, 0.52, 0.63), abs=1e-9)
    same_features(detector.backbone.bottom_up, model)
    done = convert(tmp_path / "model_final.pth", tmp_path / "again.pth")
    assert done.card.source_format == "detector" and done.card.eps == 0.5
