"""State dicts of torchvision and timm: what is read back computes the same logits."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from robust_det.checkpoints.model_file import read_model
from robust_det.conversion.convert import convert
from robust_det.core.errors import UserError
from robust_det.models.spelling import COUNTER, spelling

from .networks import (
    ASSUMED,
    IMAGENET,
    LIMIT,
    difference,
    own_logits,
    same_tensors,
    save_legacy,
    save_zip,
    torchvision_network,
)


@pytest.mark.parametrize(
    "arch, suffix, save",
    [
        ("resnet18", ".pth", save_zip),
        ("resnet10_narrow", ".pth", save_legacy),
        ("mobilenet_v2", ".pt", save_zip),
        ("mnasnet1_0", ".bin", save_zip),
        ("shufflenet_v2_x1_0", ".pth", save_legacy),
        ("shufflenet_v2_x1_0", ".safetensors", save_file),
    ],
)
def test_a_state_dict_of_torchvision(
    path: Path, unsettle: Callable[..., Any], arch: str, suffix: str, save: Any
) -> None:
    network = unsettle(torchvision_network(arch, 7))
    path = path.with_suffix(suffix)
    save(network.state_dict(), path)
    model = read_model(path)
    assert (model.arch, model.num_classes) == (arch, 7)
    assert model.format == "state dict in torchvision's names"
    assert model.notes == (ASSUMED,)
    assert (model.norm, model.eps, model.classes, model.image_size) == ("", None, (), 224)
    assert (model.mean, model.std) == IMAGENET
    assert difference(model, own_logits(network)) <= LIMIT
    same_tensors(dict(model.state), network.state_dict())


TIMM = {
    "resnet18": "resnet18",
    "mobilenetv2_100": "mobilenet_v2",
    "mnasnet_100": "mnasnet1_0",
    "convnext_tiny": "convnext_tiny",
    "densenet161": "densenet161",
    "vgg16_bn": "vgg16_bn",
}


@pytest.mark.parametrize(
    "name, suffix",
    [
        ("resnet18", ".safetensors"),
        ("mobilenetv2_100", ".bin"),
        ("mobilenetv2_100", ".safetensors"),
        ("mnasnet_100", ".safetensors"),
        ("convnext_tiny", ".bin"),
        ("densenet161", ".pth"),
        ("vgg16_bn", ".safetensors"),
    ],
)
def test_a_state_dict_of_timm(
    path: Path, unsettle: Callable[..., Any], name: str, suffix: str
) -> None:
    timm = pytest.importorskip("timm")
    torch.manual_seed(0)
    network = unsettle(timm.create_model(name, num_classes=12))
    state, path = network.state_dict(), path.with_suffix(suffix)
    save_file(state, path) if suffix == ".safetensors" else torch.save(state, path)
    model = read_model(path)
    arch = TIMM[name]
    assert (model.arch, model.num_classes) == (arch, 12)
    # for some, timm has taken over torchvision's names
    library = (
        "torchvision" if spelling(arch, "torchvision").names.keys() >= state.keys() else "timm"
    )
    assert model.format == f"state dict in {library}'s names"
    assert model.notes == (ASSUMED,)
    assert difference(model, own_logits(network)) <= LIMIT
    same_tensors(spelling(arch, "timm").write(model.state), state)


def parallel(network: Any) -> Any:
    return nn.DataParallel(network).state_dict()


def compiled(network: Any) -> Any:
    wrapped: Any = torch.compile(network)
    return wrapped.state_dict()


def parallel_and_compiled(network: Any) -> Any:
    wrapped: Any = torch.compile(network)
    return nn.DataParallel(wrapped).state_dict()


def part_of_a_trainer(network: Any) -> Any:
    return nn.ModuleDict({"backbone": nn.ModuleDict({"net": network})}).state_dict()


@pytest.mark.parametrize(
    "wrap, prefix",
    [
        (parallel, "module."),
        (compiled, "_orig_mod."),
        (parallel_and_compiled, "module._orig_mod."),
        (part_of_a_trainer, "backbone.net."),
    ],
)
@pytest.mark.parametrize("container", [None, "model", "state_dict"])
def test_prefixes_and_containers_need_not_be_named(
    path: Path, unsettle: Callable[..., Any], wrap: Any, prefix: str, container: str | None
) -> None:
    network = unsettle(torchvision_network("resnet10_narrow"))
    state = wrap(network)
    assert all(name.startswith(prefix) for name in state)
    torch.save(state if container is None else {container: state, "epoch": 3}, path)
    model = read_model(path)
    assert (model.arch, model.num_classes) == ("resnet10_narrow", 10)
    kind = f"checkpoint ({container})" if container else "state dict"
    assert model.format == f"{kind} in torchvision's names"
    assert difference(model, own_logits(network)) <= LIMIT


@pytest.mark.parametrize("classes", [1, 2, 21841])
def test_the_head_tells_the_number_of_classes(
    path: Path, unsettle: Callable[..., Any], classes: int
) -> None:
    network = unsettle(torchvision_network("resnet10_narrow", classes))
    torch.save(network.state_dict(), path)
    model = read_model(path)
    assert model.num_classes == classes
    assert difference(model, own_logits(network)) <= LIMIT


@pytest.mark.parametrize(
    "change",
    [
        lambda state: state.pop("fc.bias"),
        lambda state: state.update({"fc.weight": torch.rand(10, 77)}),
    ],
)
def test_another_head_is_left_out_and_said(
    path: Path, unsettle: Callable[..., Any], change: Any
) -> None:
    state = unsettle(torchvision_network("resnet10_narrow")).state_dict()
    change(state)
    torch.save(state, path)
    model = read_model(path)
    assert model.num_classes == 0 and not any(name.startswith("fc.") for name in model.state)
    assert model.notes[0] == (
        "the head (fc.weight, ...) is not one of resnet10_narrow and was left out"
    )
    with pytest.raises(UserError, match="no classification head"):
        model.classifier()


def test_files_without_counters_of_batch_norm(path: Path, unsettle: Callable[..., Any]) -> None:
    """Those of torchvision from 2017; a network of today still takes them."""
    network = unsettle(torchvision_network("resnet10_narrow"))
    state = {n: t for n, t in network.state_dict().items() if COUNTER not in n}
    torch.save(state, path)
    model = read_model(path)
    assert difference(model, own_logits(network)) <= LIMIT
    same_tensors(dict(model.state), state)
    back = path.with_suffix(".pth")
    convert(path, back, to="torchvision")
    fresh = torchvision_network("resnet10_narrow", seed=1)
    fresh.load_state_dict(torch.load(back, weights_only=True))
    assert difference(model, own_logits(fresh)) <= LIMIT


def test_the_old_names_of_densenet(path: Path, unsettle: Callable[..., Any]) -> None:
    """torchvision's file of 2017 has ``norm.1`` for ``norm1``, and no counters."""
    network = unsettle(torchvision_network("densenet161"))
    state = {
        ".".join(
            f"{part[:-1]}.{part[-1]}" if part in ("norm1", "norm2", "conv1", "conv2") else part
            for part in name.split(".")
        ): tensor
        for name, tensor in network.state_dict().items()
        if COUNTER not in name
    }
    assert "features.denseblock1.denselayer1.norm.1.weight" in state
    save_legacy(state, path)
    model = read_model(path)
    assert (model.arch, model.num_classes) == ("densenet161", 10)
    assert model.format == "state dict in old torchvision's names"
    same_tensors(
        dict(model.state), {n: t for n, t in network.state_dict().items() if COUNTER not in n}
    )


def test_the_names_of_convnext_in_the_code_of_its_authors(
    path: Path, unsettle: Callable[..., Any]
) -> None:
    timm = pytest.importorskip("timm")
    from timm.models.convnext import checkpoint_filter_fn

    network = unsettle(timm.create_model("convnext_tiny", num_classes=10))
    rules = (
        ("stem", "downsample_layers.0"),
        (r"stages\.(\d)\.downsample", r"downsample_layers.\1"),
        (r"blocks\.", ""),
        ("conv_dw", "dwconv"),
        (r"mlp\.fc", "pwconv"),
        (r"head\.norm", "norm"),
        (r"head\.fc", "head"),
    )
    state = {}
    for name, tensor in network.state_dict().items():
        for pattern, target in rules:
            name = re.sub(pattern, target, name)
        state[name] = tensor
    # as timm reads such a file
    same_tensors(checkpoint_filter_fn(state, network), network.state_dict())
    torch.save({"model": state}, path)
    model = read_model(path)
    assert (model.arch, model.num_classes) == ("convnext_tiny", 10)
    assert model.format == "state dict in ConvNeXt's names"
    assert model.notes == (ASSUMED,)
    assert difference(model, own_logits(network)) <= LIMIT


@pytest.mark.parametrize(
    "wrapper", ["_orig_mod", "_fsdp_wrapped_module", "_checkpoint_wrapped_module"]
)
def test_wrappers_in_the_midst_of_names(
    path: Path, unsettle: Callable[..., Any], wrapper: str
) -> None:
    network = unsettle(torchvision_network("resnet10_narrow"))
    state = {
        f"{wrapper}.{name}".replace("layer1.0.", f"layer1.{wrapper}.0.{wrapper}."): tensor
        for name, tensor in network.state_dict().items()
    }
    assert f"{wrapper}.layer1.{wrapper}.0.{wrapper}.conv1.weight" in state
    torch.save(state, path)
    same_tensors(dict(read_model(path).state), network.state_dict())
    # with the name as it is in the file as well
    same_tensors(dict(read_model(path, prefix=f"{wrapper}.").state), network.state_dict())
    torch.save(
        {"teacher": state, "pupil": torchvision_network("resnet10_narrow").state_dict()}, path
    )
    chosen = read_model(path, prefix=f"teacher/{wrapper}.")
    same_tensors(dict(chosen.state), network.state_dict())


def test_what_a_file_calls_things_is_no_command_to_a_terminal(path: Path) -> None:
    state = torchvision_network("resnet10_narrow").state_dict()
    torch.save({"\x1b[2Jx\ny": state, "mean": "\x1b[31m"}, path)
    model = read_model(path)
    assert model.format == "checkpoint (?[2Jx?y) in torchvision's names"
    assert all(note.isprintable() for note in model.notes)


def test_two_names_that_would_be_one_without_their_wrappers(path: Path) -> None:
    state, other = (torchvision_network("resnet10_narrow", seed=i).state_dict() for i in (0, 1))
    torch.save({**state, **{f"_orig_mod.{n}": t for n, t in other.items()}}, path)
    with pytest.raises(UserError, match="2 different networks resnet10_narrow, at '', '_orig_mod"):
        read_model(path)


def test_a_head_behind_dropout(path: Path, unsettle: Callable[..., Any]) -> None:
    network = unsettle(torchvision_network("resnet10_narrow"))
    logits = own_logits(network)
    expected = network.state_dict()
    network.fc = nn.Sequential(nn.Dropout(), network.fc)
    torch.save(network.state_dict(), path)
    model = read_model(path)
    assert model.notes == (
        "the head is fc.1; what else its sequence has is taken for dropout",
        ASSUMED,
    )
    assert difference(model, logits) <= LIMIT
    same_tensors(dict(model.state), expected)


def test_tensors_beside_the_network_are_no_matter(path: Path, unsettle: Callable[..., Any]) -> None:
    network = unsettle(torchvision_network("resnet10_narrow"))
    others = {
        "projector.0.weight": torch.rand(64, 128),
        "projector.1.running_mean": torch.rand(64),
        "queue": torch.rand(16, 4),
    }
    torch.save({**network.state_dict(), **others}, path)
    model = read_model(path)
    assert difference(model, own_logits(network)) <= LIMIT
    same_tensors(dict(model.state), network.state_dict())


@pytest.mark.parametrize("kind", ["float16", "bfloat16", "float64"])
@pytest.mark.parametrize("save", [save_zip, save_legacy, save_file])
def test_other_precisions_are_converted_and_said(
    path: Path, unsettle: Callable[..., Any], kind: str, save: Any
) -> None:
    dtype = getattr(torch, kind)
    state = unsettle(torchvision_network("resnet10_narrow")).to(dtype).state_dict()
    save(state, path)
    model = read_model(path)
    assert model.notes == (
        f"weights are {kind} in the file and were converted to float32",
        ASSUMED,
    )
    same_tensors(dict(model.state), {n: t if COUNTER in n else t.float() for n, t in state.items()})
