"""Each cause has a remedy of its own: to register a network, or to give all of it, helps few."""

from __future__ import annotations

import pickle
import re
import warnings
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn
from torchvision import models as tv
from torchvision.models.resnet import BasicBlock, Bottleneck, ResNet

from robust_det.checkpoints.model_file import read_model
from robust_det.core.errors import FileError
from robust_det.models import ARCHITECTURES


def answer(path: Path, content: Any, arch: str | None = None) -> str:
    torch.save(content, path)
    with pytest.raises(FileError) as caught:
        read_model(path, arch)
    return str(caught.value).removeprefix(f"{path} ")


def thin(make: Any) -> dict[str, torch.Tensor]:
    """A network's state dict in a small file: its shapes are what is looked at."""
    with torch.device("meta"):
        state = make().state_dict()
    return {name: torch.zeros(()).expand(t.shape) for name, t in state.items()}


def deep_stem() -> nn.Module:
    network = tv.resnet50()
    network.conv1 = nn.Sequential(nn.Conv2d(3, 32, 3), nn.Conv2d(32, 32, 3), nn.Conv2d(32, 64, 3))
    return network


def small_images() -> nn.Module:
    network = tv.resnet18()
    network.conv1 = nn.Conv2d(3, 64, 3, bias=False)
    return network


@pytest.mark.parametrize(
    "make, name",
    [
        (lambda: ResNet(Bottleneck, [2, 2, 2, 2]), "ResNet-26 (bottleneck blocks 2 2 2 2)"),
        (lambda: ResNet(BasicBlock, [1, 1, 1, 1]), "ResNet-10 (basic blocks 1 1 1 1)"),
        (lambda: ResNet(Bottleneck, [3, 24, 36, 3]), "ResNet-200 (bottleneck blocks 3 24 36 3)"),
        (tv.resnext101_32x8d, "ResNeXt-101 32x8d (bottleneck blocks 3 4 23 3)"),
        (tv.wide_resnet101_2, "Wide ResNet-101-2 (bottleneck blocks 3 4 23 3)"),
    ],
)
@pytest.mark.parametrize("renamed", [False, True])
def test_another_depth_says_which(tmp_path: Path, make: Any, name: str, renamed: bool) -> None:
    state = thin(make)
    if renamed:
        state = {f"x{i}": tensor for i, tensor in enumerate(state.values())}
    said = answer(tmp_path / "file", state)
    assert said == (
        f"is a {name}, which is not registered; say --arch timm:NAME if it is one of timm's, or"
        " register it (CONTRIBUTING.md)"
    )
    said = answer(tmp_path / "file", state, "resnet50")
    assert said.startswith(f"is a {name}, not a resnet50; ")


def test_another_depth_in_a_detector(tmp_path: Path) -> None:
    state = thin(lambda: ResNet(Bottleneck, [2, 2, 2, 2]))
    state = {f"backbone.{name}": t for name, t in state.items() if not name.startswith("fc.")}
    neck = {f"neck.{i}.weight": torch.zeros(()).expand(256, 256, 3, 3) for i in range(9)}
    assert answer(tmp_path / "file", {"model": {**state, **neck}}).startswith(
        "is a ResNet-26 (bottleneck blocks 2 2 2 2), which is not registered"
    )


def test_convolutions_alone_are_known(tmp_path: Path) -> None:
    parameters = [t for name, t in thin(tv.resnet18).items() if "running" not in name]
    assert answer(tmp_path / "file", {f"a.{i}": t for i, t in enumerate(parameters)}).startswith(
        "has the convolutions of a resnet18, but its names are others: none that are known (a.0,"
    )


@pytest.mark.parametrize("arch", ARCHITECTURES)
def test_the_shapes_are_known_and_the_names_are_not(tmp_path: Path, arch: str) -> None:
    state = thin(lambda: ARCHITECTURES[arch].build(10))
    renamed = {f"a.{i}": tensor for i, tensor in enumerate(state.values())}
    assert answer(tmp_path / "file", renamed) == (
        f"has the shapes of a {arch}, but its names are others: none that are known (a.0, ...);"
        " rename its tensors as torchvision does"
    )


@pytest.mark.parametrize(
    "make, stem", [(deep_stem, "a stem of three convolutions"), (small_images, "a stem of 3x3")]
)
def test_another_stem(tmp_path: Path, make: Any, stem: str) -> None:
    renamed = {f"a.{i}": tensor for i, tensor in enumerate(thin(make).values())}
    assert f"{stem}), which is not registered" in answer(tmp_path / "file", renamed)


def test_a_stem_of_unknown_names(tmp_path: Path) -> None:
    state = thin(tv.resnet18)
    renamed = {re.sub(r"^(conv1|bn1)\.", r"root.\1.", name): t for name, t in state.items()}
    renamed = {name.replace("root.bn1.", "root.norm."): t for name, t in renamed.items()}
    assert answer(tmp_path / "file", renamed) == (
        "has the shapes of a resnet18, but its names are others: no conv1.weight and 4 more;"
        " rename its tensors as torchvision does"
    )


def test_what_zero_3_leaves(tmp_path: Path) -> None:
    state = thin(tv.resnet18)
    empty = {n: t if "running" in n or not t.ndim else torch.empty(0) for n, t in state.items()}
    said = answer(tmp_path / "file", {"module": empty, "ds_version": "0.14", "param_shapes": [{}]})
    assert said.startswith("holds empty tensors (conv1.weight and 61 more), as DeepSpeed's ZeRO-3")
    assert "zero_to_fp32.py" in said


class Wrapped:
    """A tensor of a subclass that wraps others, as torch pickles it."""

    def __init__(self, kind: Any) -> None:
        self.kind = kind

    def __reduce__(self) -> Any:
        args = (self.kind, torch.float32, (2,), (1,), 0, torch.strided, "cpu", False)
        function = torch._utils._rebuild_wrapper_subclass  # type: ignore[attr-defined]
        return torch._tensor._rebuild_from_type_v2, (function, self.kind, args, {})  # type: ignore[attr-defined]


def test_tensors_in_parts(tmp_path: Path) -> None:
    from torch.distributed.tensor import DTensor

    expected = "holds tensors in parts (torch.distributed."
    whole = dict.fromkeys(["conv1.weight", "bn1.weight"], Wrapped(DTensor))
    some = {**whole, "bn1.running_mean": torch.zeros(64)}
    for state in (whole, some):
        said = answer(tmp_path / "file", {"model": state})
        assert said.startswith(expected) and "full_state_dict=True" in said


def test_quantisation_aware_training(tmp_path: Path) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch means to give it up
        from torch.ao import quantization

        network = nn.Sequential(nn.Conv2d(3, 4, 3)).train()
        network.qconfig = quantization.get_default_qat_qconfig("fbgemm")
        training = quantization.prepare_qat(network)
        state = training.state_dict()
        whole = quantization.convert(training.eval()).state_dict()
    assert answer(tmp_path / "file", state).startswith(
        "is a network of quantisation-aware training (0."
    )
    said = answer(tmp_path / "file", whole)
    assert said.startswith("is a quantised network (") and said.endswith(
        "before they were quantised"
    )


@pytest.mark.parametrize(
    "name, what",
    [
        ("blocks.0.cls_token", "is a network of attention (blocks.0.cls_token)"),
        ("_fsdp_wrapped_module._flat_param", "holds flat parameters ("),
        ("bn1._mean", "holds Paddle's names (bn1._mean)"),
        ("conv1_bn/moving_mean:0", "holds names of TensorFlow or JAX (conv1_bn/moving_mean:0)"),
        ("layers.0.qweight", "is a quantised network (layers.0.qweight)"),
    ],
)
def test_names_that_say_whose_they_are(tmp_path: Path, name: str, what: str) -> None:
    said = answer(tmp_path / "file", {"a.weight": torch.zeros(3), name: torch.zeros(3)})
    assert said.startswith(what) and "register" not in said


def test_the_description_of_a_checkpoint_in_parts(tmp_path: Path) -> None:
    from torch.distributed.checkpoint.metadata import Metadata

    path = tmp_path / "renamed"
    path.write_bytes(pickle.dumps(Metadata({})))
    with pytest.raises(FileError, match=r"of torch.distributed.checkpoint; join its parts with"):
        read_model(path)
