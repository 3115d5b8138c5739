"""What the user says of a file: threat model and normalisation."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from robust_det.checkpoints.pretrained import FORMAT
from robust_det.models import IMAGENET_MEAN, IMAGENET_STD, ModelCard
from tests.support import Outcome

from .network import ARCH

MEAN, STD = (0.41, 0.52, 0.63), (0.21, 0.25, 0.3)


def pixels(mean: Any, std: Any) -> list[Any]:
    return ["--mean", *mean, "--std", *std]


@pytest.mark.parametrize(
    "arguments, message",
    [
        (["--arch", "resnet18"], "holds a resnet10_narrow, not a resnet18; leave --arch out"),
        (["--arch", "resnet10-narrow"], "unknown architecture 'resnet10-narrow'; did you mean"),
        (["--prefix", "module."], "holds one network alone; leave --prefix out"),
        (["--eps", "much"], "--eps needs a number such as 0.5 or 4/255, not 'much'"),
        (["--eps", "1/0", "--norm", "l2"], "--eps needs a number such as 0.5 or 4/255, not '1/0'"),
        (["--eps", "-1", "--norm", "l2"], "eps is -1.0, not a number from 0 up"),
        (["--eps", "nan", "--norm", "l2"], "eps is nan, not a number from 0 up"),
        (["--eps", "4", "--norm", "linf"], "for pixels up to 255 divide by 255"),
        (["--eps", "0.5"], "--eps 0.5 needs --norm, l2 or linf"),
        (["--norm", "l2"], "--norm l2 needs --eps, in [0, 1] pixel units such as 4/255"),
        (["--norm", "l1", "--eps", "0.5"], "unknown norm 'l1'; use l2 or linf"),
        (["--mean", "0.5", "0.5", "0.5"], "give --mean and --std together"),
        (["--mean", "0.5", "0.5"], "argument --mean: expected 3 arguments"),
        (["--mean", "x", "y", "z"], "argument --mean: invalid float value: 'x'"),
        (pixels((124, 116, 104), (58, 57, 57)), "divide those of images in [0, 255] by 255"),
        (pixels((0, 0, 0), (1, 0, 1)), "std above 0"),
        (pixels(("nan", 0, 0), (1, 1, 1)), "need three numbers each, RGB in [0, 1]"),
        (["--to", "onnx"], "unknown target 'onnx'; use detectron2, torchvision, timm"),
        (["--to", "timm"], "no names of timm are known for resnet10_narrow; use --to torchvision"),
    ],
)
def test_a_wrong_description(
    source: Path, tmp_path: Path, refused: Callable[..., str], arguments: Any, message: str
) -> None:
    assert message in refused(source, tmp_path / "out.pth", *arguments)


@pytest.fixture
def described(tmp_path: Path, state: dict[str, torch.Tensor]) -> Path:
    """A file that says all about itself."""
    card = ModelCard(ARCH, "l2", 0.5, MEAN, STD, 48, tuple("abcdefghij"))
    path = tmp_path / "described.pth"
    torch.save({"format": FORMAT, "meta": card.plain(), "model": state}, path)
    return path


@pytest.mark.parametrize(
    "arguments, message",
    [
        (["--arch", "resnet18"], "holds a resnet10_narrow, not a resnet18; leave --arch out"),
        (["--norm", "linf"], "has norm l2, not linf; leave --norm out"),
        (["--eps", "1"], "has eps 0.5, not 1.0; leave --eps out"),
        (
            pixels(IMAGENET_MEAN, IMAGENET_STD),
            "has mean 0.41 0.52 0.63 and std 0.21 0.25 0.3; leave --mean and --std out",
        ),
    ],
)
def test_a_description_that_contradicts_the_file(
    described: Path, tmp_path: Path, refused: Callable[..., str], arguments: Any, message: str
) -> None:
    assert refused(described, tmp_path / "out.pth", *arguments) == f"{described} {message}"


def test_a_description_that_agrees_with_the_file(
    described: Path, tmp_path: Path, tool: Callable[..., Outcome]
) -> None:
    agreeing = ["--arch", ARCH, "--norm", "L2", "--eps", "0.5", *pixels(MEAN, STD)]
    code, out, err = tool(described, tmp_path / "out.pth", *agreeing)
    assert (code, err) == (0, "") and "note: " not in out


def test_a_card_that_is_of_another_network(
    described: Path, tmp_path: Path, refused: Callable[..., str]
) -> None:
    content = torch.load(described)
    content["meta"]["arch"] = "resnet18"
    torch.save(content, described)
    assert refused(described, tmp_path / "out.pth") == (
        f"{described} says that it is resnet18, but its tensors are those of resnet10_narrow"
    )


@pytest.mark.parametrize(("eps", "said"), [("5", False), ("300", True)])
def test_an_eps_of_another_unit_is_noticed(
    source: Path, tmp_path: Path, tool: Callable[..., Outcome], eps: str, said: bool
) -> None:
    code, out, _ = tool(source, tmp_path / "out.pth", "--norm", "l2", "--eps", eps)
    assert (
        code == 0 and ("note: an L2 eps of 300 is more than published models have" in out) == said
    )
