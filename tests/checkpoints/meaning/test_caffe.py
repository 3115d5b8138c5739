"""Weights of Caffe under other libraries' names, and of images of another range."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from robust_det.checkpoints.describing.caffe import _first_norm
from robust_det.conversion.convert import convert
from robust_det.core.errors import UserError
from robust_det.models import ARCHITECTURES, build_classifier
from robust_det.models.spelling import spelling
from robust_det.models.stages import empty_network

from .files import named


@torch.no_grad()
def norms_of_caffe(network: Any) -> Any:
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            assert module.running_mean is not None and module.running_var is not None
            module.running_mean.zero_()
            module.running_var.fill_(1)
    return network


@pytest.mark.parametrize("library", ["torchvision", "detectron2"])
@pytest.mark.parametrize("prefix", ["", "module.backbone."])
def test_norms_that_never_saw_an_image(
    network: Callable[..., Any], refused: Callable[..., str], library: str, prefix: str
) -> None:
    state = spelling("resnet10_narrow", library).write(norms_of_caffe(network()).state_dict())
    answer = refused({prefix + name: tensor for name, tensor in state.items()})
    assert answer.startswith("holds a resnet10_narrow whose norm bn1 never saw an image")


@pytest.mark.parametrize("arch", ["resnet10_narrow", "mobilenet_v2"])
def test_a_new_network_is_none_of_caffe(read: Callable[..., Any], arch: str) -> None:
    assert read(build_classifier(arch, 10).body.state_dict()).arch == arch


def test_a_new_network_whose_blocks_begin_as_nothing(read: Callable[..., Any]) -> None:
    body = build_classifier("resnet10_narrow", 10).body
    for name, value in body.named_parameters():
        if name.endswith("bn2.weight"):
            nn.init.zeros_(value)
    assert read(body.state_dict()).arch == "resnet10_narrow"


MMDET = """img_norm_cfg = dict(
    mean=[103.53, 116.28, 123.675], std=[1.0, 1.0, 1.0], to_rgb=False)
model = dict(backbone=dict(type='ResNet', depth=50))"""


@pytest.mark.parametrize(
    "beside, words",
    [
        ({"meta": {"config": "backbone = dict(type='ResNet', style='caffe')"}}, "strides of Caffe"),
        ({"meta": {"config": MMDET}}, "takes BGR images"),
        ({"meta": {"cfg": "data_preprocessor = dict(bgr_to_rgb=False)"}}, "takes BGR images"),
        ({"config": "INPUT:\n  FORMAT: BGR\n"}, "takes BGR images"),
        ({"cfg": {"INPUT": {"FORMAT": "BGR"}}}, "takes BGR images"),
        ({"cfg": '{"MODEL": {"RESNETS": {"STRIDE_IN_1X1": true}}}'}, "strides in the 1x1"),
        ({"hyper_parameters": {"data": {"channel_order": "bgr"}}}, "takes BGR images"),
        ({"args": argparse.Namespace(bgr=True)}, "takes BGR images"),
        ({"hyper_parameters": {"preprocessing": "caffe"}}, "in the way of Caffe"),
        ({"pretrained_cfg": {"input_space": "BGR", "input_range": [0, 255]}}, "takes BGR images"),
        ({"pretrained_cfg": {"input_range": [0, 255]}}, "takes images of up to 255"),
        (
            {"meta": {"config": "checkpoint='open-mmlab://detectron2/resnet50_caffe'"}},
            "came from Caffe",
        ),
        (
            {"config": {"WEIGHTS": "detectron2://ImageNetPretrained/MSRA/R-50.pkl"}},
            "came from Caffe",
        ),
    ],
)
def test_a_file_that_says_so_itself(
    network: Callable[..., Any], refused: Callable[..., str], beside: Any, words: str
) -> None:
    answer = refused({"state_dict": named("backbone.", network(), head=False), **beside})
    assert answer.startswith("says ") and words in answer and "; take " in answer


def test_a_detector_of_rgb_images_says_its_normalisation(
    network: Callable[..., Any], read: Callable[..., Any]
) -> None:
    config = """norm = dict(mean=[127.5, 102.0, 51.0], std=[51.0, 51.0, 102.0], to_rgb=True)
test = dict(keep_ratio=False, to_rgb=True)
backbone = dict(style='pytorch', depth=50)"""
    model = read({"meta": {"config": config}, "state_dict": named("backbone.", network())})
    assert (model.mean, model.std) == ((0.5, 0.4, 0.2), (0.2, 0.2, 0.4))
    assert not model.assumed


def beyond(body: Any, arch: str, factor: float, leaf: str) -> Any:
    """Give the first norm statistics that are a multiple of what normalised images can make."""
    names = _first_norm(arch)
    assert names is not None
    state = body.state_dict()
    largest = 2.6405  # (1 - 0.406) / 0.225
    bound = factor * largest * state[f"{names[0]}.weight"].abs().sum((1, 2, 3))
    shift = state.get(f"{names[0]}.bias", 0)
    state[f"{names[1]}.{leaf}"] = bound**2 if leaf == "running_var" else bound + shift
    return state


def test_every_architecture_but_those_with_layer_norms_is_asked() -> None:
    without = {arch for arch in ARCHITECTURES if _first_norm(arch) is None}
    sizes = ("tiny", "small", "base")
    assert without == {f"convnext_{size}{stem}" for size in sizes for stem in ("", "_convstem")}
    for arch in ARCHITECTURES.keys() - without:
        modules = dict(empty_network(arch, 2).named_modules())
        conv, norm = (modules[name] for name in _first_norm(arch) or ())
        assert isinstance(conv, nn.Conv2d) and conv.in_channels == 3
        assert isinstance(norm, nn.BatchNorm2d) and norm.num_features == conv.out_channels


@pytest.mark.parametrize("arch", ["resnet10_narrow", "mobilenet_v2", "shufflenet_v2_x1_0"])
@pytest.mark.parametrize("leaf", ["running_var", "running_mean"])
def test_more_than_normalised_images_can_make(
    network: Callable[..., Any],
    read: Callable[..., Any],
    refused: Callable[..., str],
    arch: str,
    leaf: str,
) -> None:
    body = network(arch=arch)
    assert read(beyond(body, arch, 1.0, leaf)).arch == arch
    answer = refused(beyond(body, arch, 20.0, leaf))
    assert " saw 20 times what images of mean 0.485 0.456 0.406 and std" in answer
    assert "--std" in answer and "0.00392157" in answer


def test_the_range_that_the_user_gives_counts(network: Callable[..., Any], tmp_path: Path) -> None:
    path, out = tmp_path / "in.pth", tmp_path / "out.pth"
    torch.save(beyond(network(), "resnet10_narrow", 20.0, "running_var"), path)
    with pytest.raises(UserError, match="saw 20 times"):
        convert(path, out)
    with pytest.raises(UserError, match=r"saw 52\.8 times"):  # now at most 1
        convert(path, out, mean=(0.5,) * 3, std=(0.5,) * 3)
    done = convert(path, out, mean=(0, 0, 0), std=(1 / 255,) * 3)
    assert done.card.pixel_std == pytest.approx((1, 1, 1))


def test_pruned_filters_keep_what_their_norm_saw(
    network: Callable[..., Any], read: Callable[..., Any]
) -> None:
    body = network()
    with torch.no_grad():
        body.conv1.weight[:3] = 0
    assert read(body.state_dict()).arch == "resnet10_narrow"
