"""What a file says of itself: which network it is of, and its normalisation."""

from __future__ import annotations

import argparse
import types
from collections.abc import Callable
from typing import Any

import pytest
import torch

from robust_det.checkpoints.describing.claims import names_another

from .files import named

ASSUMED = "the file does not say its normalisation; ImageNet's mean and std are assumed"
MEAN, STD = (0.4, 0.5, 0.6), (0.2, 0.25, 0.3)


@pytest.mark.parametrize(
    "name, arch",
    [
        ("ResNet-50", "resnet50"),
        ("resnet50.tv_in1k", "resnet50"),
        ("timm/resnet50.d_in1k", "resnet50"),
        ("torchvision.models.resnet50", "resnet50"),
        ("fasterrcnn_resnet50_fpn", "resnet50"),
        ("moco_v2_resnet50", "resnet50"),
        ("module.resnet50", "resnet50"),
        ("resnet50_l2_eps3", "resnet50"),
        ("R-50.pkl", "resnet50"),
        ("LitResNet18", "resnet18"),
        ("wide-resnet-50-2", "wide_resnet50_2"),
        ("WRN-50-2", "wide_resnet50_2"),
        ("mobilenetv2_100", "mobilenet_v2"),
        # a student, a head, what was pretrained, and a file in another's folder
        ("resnet50_s", "resnet50"),
        ("resnet50-mlp", "resnet50"),
        ("resnet50_pre", "resnet50"),
        ("/models/resnet101/run3/resnet50.pth", "resnet50"),
        # timm's script writes the name of the class
        ("efficientnet", "mobilenet_v2"),
        ("resnet", "resnet50"),
        # names of other things
        ("simclr", "resnet50"),
        ("baseline-3", "resnet50"),
        ("my_vitamin_net_2", "resnet50"),
        ("", "resnet50"),
    ],
)
def test_a_name_of_the_network_itself(name: str, arch: str) -> None:
    assert not names_another(name, arch)


@pytest.mark.parametrize(
    "name",
    [
        "resnetblur50",
        "resnetaa50",
        "resnet50d",
        "gluon_resnet50_v1s",
        "preresnet50",
        "/models/resnet50/resnet50d.pth",
        "/models/resnet101/best.pth",
        "resnet50_gn",
        "resnet50_gelu",
        "seresnet50",
        "se_resnet50",
        "resnet50_caffe",
        "deeplabv3_resnet50",
        "detr_r50_dc5",
        "resnet101",
        "resnet26.bt_in1k",
        "wide_resnet50_2",
        "resnext50_32x4d",
        "resnetv2_50",
        "efficientnet_b0",
        "vit_base_patch16_224",
    ],
)
def test_a_name_of_another_network(name: str) -> None:
    assert names_another(name, "resnet50")


@pytest.mark.parametrize(
    "beside, where",
    [
        ({"arch": "resnetblur18"}, "arch"),
        ({"args": argparse.Namespace(model="resnetblur18")}, "args.model"),
        ({"args": {"arch": "resnetblur18"}}, "args.arch"),
        ({"hyper_parameters": {"model": {"backbone": "resnetblur18"}}}, "model.backbone"),
        ({"hyper_parameters": types.SimpleNamespace(arch="resnetblur18")}, "hyper_parameters.arch"),
        ({"pretrained_cfg": {"architecture": "resnetblur18"}}, "pretrained_cfg.architecture"),
        ({"model_name": "resnetblur18"}, "model_name"),
        ({"config": "data: x\nmodel_name: resnetblur18\nlr: 0.1\n"}, "config.model_name"),
    ],
)
def test_another_network_is_refused_by_name(
    network: Callable[..., Any],
    read: Callable[..., Any],
    refused: Callable[..., str],
    beside: Any,
    where: str,
) -> None:
    content = {"state_dict": network().state_dict(), **beside}
    answer = refused(content)
    assert answer.startswith("says that it is a resnetblur18 (") and f"{where})" in answer
    assert "or say that it is one with --arch resnet10_narrow" in answer
    # the user knows better
    model = read(content, arch="resnet10_narrow")
    assert any("says that it is a resnetblur18" in note for note in model.notes)


@pytest.mark.parametrize(
    "beside",
    [
        {"arch": "resnet10_narrow"},
        {"args": argparse.Namespace(model="resnet10_narrow", teacher="resnet50")},
        {"hyper_parameters": {"teacher": {"arch": "resnet152"}, "loss": {"net": "vgg16"}}},
        {"config": {"decoder": {"model": "vit_b_16"}, "text_encoder": {"arch": "resnet50"}}},
        {"arch": "resnet", "epoch": 3},
    ],
)
def test_what_names_the_network_or_others_is_accepted(
    network: Callable[..., Any], read: Callable[..., Any], beside: Any
) -> None:
    assert read({"state_dict": network().state_dict(), **beside}).notes[-1:] == (ASSUMED,)


@pytest.mark.parametrize(
    "beside, words",
    [
        ({"meta": {"config": "backbone=dict(depth=50, strides=(1, 2, 1, 1))"}}, "other strides"),
        ({"meta": {"config": "backbone=dict(depth=50, dilations=(1, 1, 2, 4))"}}, "other strides"),
        ({"args": argparse.Namespace(dilation=True)}, "other strides"),
        ({"hyper_parameters": {"output_stride": 16}}, "other strides"),
        ({"cfg": {"MODEL": {"LAST_STRIDE": 1}}}, "other strides"),
        ({"config": {"replace_stride_with_dilation": [False, False, True]}}, "other strides"),
        ({"config": "RESNETS:\n  RES5_DILATION: 2\n"}, "other strides"),
        ({"model_args": {"aa_layer": "BlurPool2d"}}, "filters before it strides"),
        ({"model_args": {"act_layer": "gelu"}}, "has gelu in place of ReLU"),
    ],
)
def test_other_strides_are_refused_where_the_file_speaks_of_them(
    network: Callable[..., Any],
    read: Callable[..., Any],
    refused: Callable[..., str],
    beside: Any,
    words: str,
) -> None:
    content = {"state_dict": network().state_dict(), **beside}
    assert words in refused(content)
    assert words in " ".join(read(content, arch="resnet10_narrow").notes)


def test_the_strides_of_a_plain_network_and_of_its_anchors(
    network: Callable[..., Any], read: Callable[..., Any]
) -> None:
    config = """backbone=dict(strides=(1, 2, 2, 2), dilations=(1, 1, 1, 1), style='pytorch')
decoder=dict(strides=(1, 1, 1, 1)), data=dict(strides=[2, 2, 2, 2])
anchors=dict(strides=[4, 8, 16, 32, 64]), roi=dict(strides=[4, 8, 16, 32]), dilation=1"""
    content = {"meta": {"config": config}, "state_dict": named("backbone.", network())}
    assert read(content).arch == "resnet10_narrow"


class _Content:
    """As OmegaConf keeps its values; nothing of it is rebuilt."""

    def __init__(self, value: Any) -> None:
        key = "_content" if isinstance(value, dict) else "_val"
        self.__dict__[key] = value


@pytest.mark.parametrize(
    "beside, name",
    [
        ({"hyper_parameters": {"mean": MEAN, "std": STD}}, "hyper_parameters.mean"),
        ({"args": argparse.Namespace(mean=list(MEAN), std=list(STD))}, "args.mean"),
        ({"config": {"data": {"image_mean": MEAN, "image_std": STD}}}, "config.data.image_mean"),
        ({"pretrained_cfg": {"mean": MEAN, "std": STD}}, "pretrained_cfg.mean"),
        ({"default_cfg": {"mean": MEAN, "std": STD}}, "default_cfg.mean"),
        ({"config": "PIXEL_MEAN: [102, 127.5, 153]\nPIXEL_STD:\n- 51\n- 63.75\n- 76.5\n"}, "255"),
        # behind how a head begins
        (
            {"meta": {"config": f"init=dict(mean=0, std=0.01)\nmean={MEAN}, std={STD}, std=1"}},
            "meta.config.mean",
        ),
        (
            {"cfg": _Content({"mean": _Content(list(MEAN)), "std": _Content(list(STD))})},
            "cfg.mean",
        ),
    ],
)
def test_the_normalisation_is_found_where_the_file_describes_itself(
    network: Callable[..., Any], read: Callable[..., Any], beside: Any, name: str
) -> None:
    model = read({"state_dict": network().state_dict(), **beside})
    assert (model.mean, model.std, model.assumed) == (MEAN, STD, "")


@pytest.mark.parametrize(
    "module", ["target_scaler", "label_norm", "scaler", "output_normalizer", "bbox_coder"]
)
def test_the_scale_of_something_else_is_no_normalisation(
    network: Callable[..., Any], read: Callable[..., Any], module: str
) -> None:
    scale = {f"{module}.mean": torch.tensor([0.2, 0.3, 0.9]), f"{module}.std": torch.rand(3) + 0.1}
    assert read(named("net.", network()) | scale).notes == (ASSUMED,)


def test_nothing_is_said_of_what_was_not_read(
    network: Callable[..., Any], read: Callable[..., Any]
) -> None:
    model = read({"state_dict": network().state_dict(), "args": slice(1)})
    assert "'args', an object of class" in model.assumed and "was not read" in model.assumed


def test_words_of_a_file_are_no_commands_to_a_terminal(
    network: Callable[..., Any], refused: Callable[..., str]
) -> None:
    answer = refused({"state_dict": network().state_dict(), "arch": "\x1b[2Jresnetblur18"})
    assert answer.isprintable()
