"""Tensors beside the network: all are accounted for, and some say that it is another one."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn
from torchvision import models as tv

from robust_det.checkpoints.use import Use
from robust_det.conversion.convert import convert
from robust_det.models import build_classifier

from .files import is_of, named

ARCH = "resnet10_narrow"


def layers(prefix: str, count: int = 30, width: int = 96) -> dict[str, Any]:
    return {f"{prefix}{i}.weight": torch.rand(width, width, 3, 3) for i in range(count)}


def test_the_place_and_what_is_beside_it(network: Callable[..., Any], tmp_path: Path) -> None:
    body, path = network(), tmp_path / "in.pth"
    size = sum(t.numel() for t in body.state_dict().values() if t.is_floating_point())
    state = named("module.backbone.", body) | {
        "module.neck.fpn.weight": torch.rand(size),
        "module.rpn.weight": torch.rand(size // 2),
        "module.rpn.steps": torch.tensor(3),  # a counter
    }
    optimizer = {"state": {0: {"exp_avg": torch.rand(5 * size)}}, "names": {"a": torch.rand(size)}}
    torch.save({"state_dict": state, "optimizer": optimizer}, path)
    done = convert(path, tmp_path / "out.pth")
    place = "state_dict/module.backbone."
    assert done.use.place == place and done.use.share == pytest.approx(0.4, abs=1e-4)
    left_out = {part.place: part.share for part in done.use.left_out}
    assert list(left_out) == ["state_dict/module.neck", "state_dict/module.rpn"]
    assert list(left_out.values()) == pytest.approx([0.4, 0.2], abs=1e-4)
    assert done.use.summary == f"at '{place}', 40% of its parameters"
    assert (
        "of the file's parameters were left out: 'state_dict/module.neck' (40%),"
        " 'state_dict/module.rpn' (20%)"
    ) in done.notes


def test_a_file_of_nothing_else(network: Callable[..., Any], read: Callable[..., Any]) -> None:
    model = read(network().state_dict())
    assert model.use == Use("", 1.0) and model.use.remainder == ""


@pytest.mark.parametrize(
    "place, word, beside",
    [
        ("teacher.", "teacher", layers("student.block", 1)),
        ("loss.vgg.", "loss", layers("generator.", 1)),
        ("criterion.net.", "criterion", layers("generator.", 1)),
        ("perceptualLoss.", "loss", layers("generator.", 1)),
        ("lpips.net.", "lpips", layers("generator.", 1)),
        ("netD.discriminator.", "discriminator", layers("netG.", 1)),
    ],
)
def test_a_network_that_judges_another(
    network: Callable[..., Any],
    read: Callable[..., Any],
    refused: Callable[..., str],
    place: str,
    word: str,
    beside: Any,
) -> None:
    content = {"state_dict": named(place, network()) | beside}
    answer = refused(content)
    assert answer.startswith(f"holds a {ARCH} at 'state_dict/{place}', a {word} beside what")
    assert answer.endswith(f"say so with --prefix 'state_dict/{place}'")
    assert read(content, prefix=f"state_dict/{place}").arch == ARCH
    assert read(content, arch=ARCH).arch == ARCH


def test_a_teacher_alone_is_all_there_is(network: Callable[..., Any], read: Any) -> None:
    assert read({"teacher": network().state_dict(), "epoch": 3}).use.place == "teacher/"


@pytest.mark.parametrize("together", [True, False])
def test_a_larger_network_outside(
    network: Callable[..., Any],
    read: Callable[..., Any],
    refused: Callable[..., str],
    together: bool,
) -> None:
    state = named("encoder.", network())
    other = layers("generator.", 8)
    content = {"m": state | other} if together else {"m": state, "g": layers("block", 8)}
    answer = refused(content)
    assert answer.startswith(f"holds a {ARCH} at 'm/encoder.', and more than that of another")
    assert is_of(read(content, prefix="m/encoder."), network())
    # what stands behind a network may be larger
    assert read({"m": state | layers("roi_heads.box.", 8)}).arch == ARCH


class Gate(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.fc = nn.Linear(width, width)


@pytest.mark.parametrize(
    "name, module",
    [
        ("bn0", nn.BatchNorm2d(3)),
        ("bam1", Gate(16)),
        ("attention", nn.Conv2d(2, 1, 7)),
        ("gate_out", Gate(128)),
        ("between", nn.Conv2d(32, 32, 1)),
        ("layer5", nn.Conv2d(128, 128, 3)),
        ("relu", nn.PReLU()),
    ],
)
@pytest.mark.parametrize("prefix", ["", "module."])
def test_something_in_the_midst_of_a_network(
    network: Callable[..., Any],
    read: Callable[..., Any],
    refused: Callable[..., str],
    name: str,
    module: nn.Module,
    prefix: str,
) -> None:
    body = network()
    setattr(body, name, module)
    content = {"net": named(prefix, body)}
    answer = refused(content)
    assert answer.startswith(f"has 'net/{prefix}{name}' beside the stages of a {ARCH}")
    assert answer.endswith(f"say so with --prefix 'net/{prefix}'")
    assert read(content, prefix=f"net/{prefix}").arch == ARCH


def test_a_norm_of_images_stands_before_the_network_wherever_it_is(
    network: Callable[..., Any], refused: Callable[..., str]
) -> None:
    norm = {f"net.prep.{n}": t for n, t in nn.BatchNorm2d(3).state_dict().items()}
    answer = refused(named("net.backbone.", network()) | norm)
    assert answer.startswith(f"has 'net.prep' beside the stages of a {ARCH}")


@pytest.mark.parametrize(
    "name, module",
    [
        ("head", nn.Linear(128, 5)),
        ("fc_age", nn.Linear(128, 128)),
        ("species", nn.Linear(128, 7)),  # of any name
        ("projection_head", nn.Sequential(nn.Linear(128, 128), nn.Linear(128, 32))),
        ("deconv_layers", nn.ConvTranspose2d(128, 64, 4)),
        ("aux1", nn.Conv2d(64, 10, 1)),
        ("fpn", nn.Conv2d(16, 16, 1)),
        ("latlayer1", nn.Conv2d(64, 64, 1)),
        ("prototypes", nn.Linear(16, 30)),
    ],
)
def test_heads_behind_a_network_are_left_out(
    network: Callable[..., Any], read: Callable[..., Any], name: str, module: nn.Module
) -> None:
    body = network()
    setattr(body, name, module)
    model = read(named("module.", body))
    assert [part.place for part in model.use.left_out] == [f"module.{name}"]


def parts_of_torchvision(name: str) -> Any:
    """Return what a segmentation network has beside its backbone."""
    with torch.device("meta"):
        network: Any = getattr(tv.segmentation, name)(
            weights=None, weights_backbone=None, aux_loss=True, num_classes=2
        )
    state = {n: t for n, t in network.state_dict().items() if not n.startswith("backbone.")}
    # its values are nobody's business
    return {n: torch.zeros(()).expand(t.shape) for n, t in state.items()}


@pytest.mark.parametrize("name", ["deeplabv3_resnet50", "fcn_resnet50"])
def test_torchvisions_networks_of_segmentation_are_dilated(
    network: Callable[..., Any], refused: Callable[..., str], name: str
) -> None:
    answer = refused(named("backbone.", network(), head=False) | parts_of_torchvision(name))
    assert answer.startswith(f"is a {ARCH} for segmentation (classifier.0.")
    assert "res4 and res5 of such networks are dilated" in answer
    assert answer.endswith("without dilation, with --prefix 'backbone.'")


@pytest.mark.parametrize(
    "beside, dilated",
    [
        ("decode_head.aspp_modules.0.conv.weight", True),  # OpenMMLab
        ("decode_head.psp_modules.0.1.conv.weight", True),
        ("decoder.aspp.0.convs.1.0.weight", True),  # segmentation_models_pytorch
        ("ppm.features.0.1.weight", True),
        ("sem_seg_head.decoder.res5.project_conv.convs.0.0.weight", True),  # Detectron2
        ("roi_head.mask_head.convs.0.conv.weight", False),
        ("decode_head.lateral_convs.0.conv.weight", False),
        ("decoder.blocks.0.conv1.0.weight", False),
    ],
)
def test_heads_that_say_that_a_network_is_dilated(
    network: Callable[..., Any],
    read: Callable[..., Any],
    refused: Callable[..., str],
    beside: str,
    dilated: bool,
) -> None:
    content = named("backbone.", network(), head=False) | {beside: torch.rand(4, 4, 1, 1)}
    if dilated:
        assert f"for segmentation ({beside})" in refused(content)
    else:
        assert read(content).arch == ARCH


def test_openmmlabs_two_heads_of_segmentation(
    network: Callable[..., Any], refused: Callable[..., str]
) -> None:
    heads = ("decode_head.convs.0.conv.weight", "auxiliary_head.convs.0.conv.weight")
    state = named("backbone.", network()) | {name: torch.rand(4, 4, 3, 3) for name in heads}
    assert f"for segmentation ({heads[0]})" in refused({"state_dict": state})


@pytest.mark.parametrize("name", ["", ".", "A", "a.b"])
def test_a_tensor_of_any_name_that_is_no_layer(
    network: Callable[..., Any], read: Callable[..., Any], name: str
) -> None:
    assert read({**network().state_dict(), name: torch.ones(2)}).use.left_out[0].share < 1e-4


def test_upernet_pools_so_on_stages_with_strides(
    network: Callable[..., Any], read: Callable[..., Any]
) -> None:
    head = {f"decode_head.{name}.0.conv.weight": torch.rand(4, 4, 1, 1) for name in UPERNET}
    assert read(named("backbone.", network(), head=False) | head).arch == ARCH


UPERNET = ("psp_modules", "lateral_convs", "fpn_convs")


def test_a_detector_of_torchvision(read: Callable[..., Any]) -> None:
    body = build_classifier(ARCH, 2).body
    with torch.device("meta"):
        detector = tv.detection.fasterrcnn_mobilenet_v3_large_fpn(
            weights=None, weights_backbone=None, num_classes=2
        )
    state = {
        name: torch.zeros(()).expand(tensor.shape)
        for name, tensor in detector.state_dict().items()
        if "backbone.body" not in name
    }
    model = read(named("backbone.body.", body, head=False) | state)
    assert model.use.place == "backbone.body."
    assert [p.place for p in model.use.left_out] == ["roi_heads", "backbone.fpn", "rpn"]
