"""What training scripts leave: Stylized-ImageNet, MoCo, averaged weights."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from robust_det.checkpoints.model_file import read_model
from robust_det.conversion.convert import convert
from robust_det.conversion.proof import TOLERANCE
from robust_det.core.errors import UserError

from .networks import (
    ASSUMED,
    LIMIT,
    difference,
    own_logits,
    pictures,
    same_tensors,
    save_legacy,
    torchvision_network,
)


def trained(network: Any) -> Any:
    """Return an optimiser that has state, as in any checkpoint that training can resume from."""
    optimizer = torch.optim.SGD(network.parameters(), lr=1e-3, momentum=0.9)
    network.train()(pictures()).square().sum().backward()
    optimizer.step()
    network.eval()
    return optimizer


def test_stylized_imagenet(path: Path, unsettle: Callable[..., Any]) -> None:
    """The shape of the example of torch for ImageNet, which Geirhos et al. 2019 trained with."""
    network = unsettle(torchvision_network("resnet18", 16))
    optimizer = trained(network)
    content = {
        "epoch": 60,
        "arch": "resnet18",
        "state_dict": nn.DataParallel(network).state_dict(),
        "best_prec1": torch.tensor(60.18),
        "optimizer": optimizer.state_dict(),
    }
    path = path.with_suffix(".pth.tar")
    save_legacy(content, path)
    model = read_model(path)
    assert (model.arch, model.num_classes) == ("resnet18", 16)
    assert model.format == "checkpoint (state_dict) in torchvision's names"
    assert difference(model, own_logits(network)) <= LIMIT


class MoCo(nn.Module):
    """The tensors of MoCo's official model, in their order."""

    def __init__(self, encoders: Any, mlp: Any, dim: int = 128) -> None:
        super().__init__()
        self.encoder_q, self.encoder_k = encoders
        if mlp:
            for encoder in encoders:
                width = encoder.fc.weight.shape[1]
                encoder.fc = nn.Sequential(nn.Linear(width, width), nn.ReLU(), encoder.fc)
        self.register_buffer("queue", nn.functional.normalize(torch.randn(dim, 64), dim=0))
        self.register_buffer("queue_ptr", torch.zeros(1, dtype=torch.long))


def save_moco(path: Any, unsettle: Any, mlp: Any) -> Any:
    encoders = [
        unsettle(torchvision_network("resnet10_narrow", 128, seed), seed) for seed in (1, 2)
    ]
    moco = MoCo(encoders, mlp)
    content = {
        "epoch": 200,
        "arch": "resnet10_narrow",
        "state_dict": nn.DataParallel(moco).state_dict(),
        "optimizer": trained(moco.encoder_q).state_dict(),
    }
    torch.save(content, path)
    return moco


def test_moco_of_the_first_version(path: Path, unsettle: Callable[..., Any]) -> None:
    """Its head has the right shape, but projects: 128 numbers that are no classes."""
    moco = save_moco(path, unsettle, mlp=False)
    model = read_model(path)
    assert (model.arch, model.format, model.num_classes) == (
        "resnet10_narrow",
        "MoCo checkpoint",
        0,
    )
    assert "the head is MoCo's projection, not a classifier, and was left out" in model.notes
    # the other one is there for those who ask for it
    second = read_model(path, prefix="state_dict/module.encoder_k.")
    for read, encoder, other in (
        (model, moco.encoder_q, moco.encoder_k),
        (second, moco.encoder_k, moco.encoder_q),
    ):
        assert all(torch.equal(encoder.state_dict()[n], t) for n, t in read.state.items())
        assert not torch.equal(other.state_dict()["conv1.weight"], read.state["conv1.weight"])


def test_moco_of_the_second_version_has_no_classifier(
    path: Path, unsettle: Callable[..., Any]
) -> None:
    moco = save_moco(path, unsettle, mlp=True)
    model = read_model(path)
    assert (model.arch, model.num_classes, model.format) == (
        "resnet10_narrow",
        0,
        "MoCo checkpoint",
    )
    assert not any(name.startswith("fc.") for name in model.state)
    left_out = "the head (module.encoder_q.fc.0.weight, ...) is not one of resnet10_narrow and was"
    assert model.notes == (
        "the weights at 'state_dict/module.encoder_q.' are used, not those at"
        " 'state_dict/module.encoder_k.', which --prefix chooses",
        f"{left_out} left out",
        ASSUMED,
    )
    with pytest.raises(UserError) as caught:
        model.classifier()
    assert str(caught.value) == (
        "these weights of resnet10_narrow have no classification head (MoCo checkpoint):"
        f" {left_out} left out; they can be a backbone, but not a classifier"
    )
    target = path.with_suffix(".pth")
    done = convert(path, target)
    assert done.num_classes == 0
    assert max(max(stages.values()) for stages in done.differences.values()) <= TOLERANCE
    # back in torchvision's names it is what it was, which is all but the head
    convert(target, path.with_name("back.pth"), to="torchvision")
    fresh = torchvision_network("resnet10_narrow", seed=3)
    state = torch.load(path.with_name("back.pth"), weights_only=True)
    missing = fresh.load_state_dict(state, strict=False)
    assert (missing.missing_keys, missing.unexpected_keys) == (["fc.weight", "fc.bias"], [])
    body = {n: t for n, t in moco.encoder_q.state_dict().items() if not n.startswith("fc.")}
    same_tensors(state, body)


def test_timm_keeps_averaged_weights_beside_the_others(
    tmp_path: Path, unsettle: Callable[..., Any]
) -> None:
    utils = pytest.importorskip("timm.utils")
    timm = pytest.importorskip("timm")
    torch.manual_seed(0)
    network = unsettle(timm.create_model("mobilenetv2_100", num_classes=10))
    averaged = utils.ModelEmaV3(network)
    unsettle(averaged.module, seed=1)
    args = argparse.Namespace(model="mobilenetv2_100")  # an object, which timm saves as it is
    saver = utils.CheckpointSaver(
        network,
        torch.optim.SGD(network.parameters(), lr=0.1),
        args=args,
        model_ema=averaged,
        checkpoint_dir=str(tmp_path),
        recovery_dir=str(tmp_path),
    )
    saver.save_checkpoint(0, metric=50.0)
    model = read_model(tmp_path / "last.pth.tar")
    assert (model.arch, model.format) == ("mobilenet_v2", "state dict in timm's names")
    assert model.notes[0] == (
        "the averaged weights at 'state_dict_ema/' are used, not those at 'state_dict/', which"
        " --prefix chooses"
    )
    assert difference(model, own_logits(averaged.module)) <= LIMIT
    assert difference(model, own_logits(network)) > 0.01
    raw = read_model(tmp_path / "last.pth.tar", prefix="state_dict/")
    assert "averaged" not in " ".join(raw.notes)
    assert difference(raw, own_logits(network)) <= LIMIT


def test_torchvision_keeps_averaged_weights_beside_the_others(
    path: Path, unsettle: Callable[..., Any]
) -> None:
    """As the reference scripts of torchvision do."""
    network = unsettle(torchvision_network("resnet10_narrow"))
    averaged = torch.optim.swa_utils.AveragedModel(network)
    unsettle(averaged.module, seed=1)
    torch.save(
        {
            "model": network.state_dict(),
            "optimizer": trained(torchvision_network("resnet10_narrow")).state_dict(),
            "epoch": 1,
            "args": argparse.Namespace(model="resnet10_narrow"),
            "model_ema": averaged.state_dict(),
        },
        path,
    )
    model = read_model(path)
    assert model.format == "checkpoint (model_ema) in torchvision's names"
    assert difference(model, own_logits(averaged.module)) <= LIMIT
    assert difference(model, own_logits(network)) > 0.01


def test_averaged_weights_in_the_same_dictionary(path: Path, unsettle: Callable[..., Any]) -> None:
    """As Lightning saves a module with a copy of its network."""
    network, averaged = (
        unsettle(torchvision_network("resnet10_narrow"), seed=seed) for seed in (0, 1)
    )
    both = nn.ModuleDict({"model": network, "ema_model": averaged})
    torch.save({"state_dict": both.state_dict(), "global_step": 9}, path)
    assert difference(read_model(path), own_logits(averaged)) <= LIMIT
    raw = read_model(path, prefix="state_dict/model.")
    assert difference(raw, own_logits(network)) <= LIMIT


@pytest.mark.parametrize("word", ["without_ema", "non_ema", "not_averaged", "no_ema"])
def test_weights_that_are_said_not_to_be_averaged(path: Path, word: str) -> None:
    """Nothing says of the others what they are."""
    network, other = (torchvision_network("resnet10_narrow", seed=seed) for seed in (0, 1))
    torch.save({"model": network.state_dict(), f"model_{word}": other.state_dict()}, path)
    with pytest.raises(UserError, match=f"2 different networks .*'model/', 'model_{word}/'"):
        read_model(path)
    both = {"model_ema": network.state_dict(), f"model_{word}": other.state_dict()}
    torch.save(both, path)
    same_tensors(dict(read_model(path).state), network.state_dict())


@pytest.mark.parametrize(
    "first, second",
    [
        ("module.base_encoder", "module.momentum_encoder"),  # MoCo v3
        ("teacher/module.backbone", "student/module.backbone"),  # DINO
    ],
)
def test_the_copy_that_is_meant_to_be_used(path: Path, first: str, second: str) -> None:
    content: dict[str, Any] = {}
    networks = []
    for seed, place in enumerate((second, first)):
        networks.append(torchvision_network("resnet10_narrow", seed=seed))
        container, _, prefix = place.rpartition("/")
        state = {f"{prefix}.{n}": t for n, t in networks[-1].state_dict().items()}
        content.setdefault(container or "state_dict", {}).update(state)
    torch.save(content, path)
    model = read_model(path)
    same_tensors(dict(model.state), networks[1].state_dict())
    assert f"{first}.' are used, not those at '" in model.notes[0] and second in model.notes[0]


def test_copies_of_one_architecture_alone_are_copies(path: Path) -> None:
    """A student is no second copy of a teacher that is another network."""
    networks = {"ema": "resnet10_narrow", "model": "shufflenet_v2_x1_0"}
    torch.save({k: torchvision_network(a).state_dict() for k, a in networks.items()}, path)
    with pytest.raises(UserError, match="could be resnet10_narrow or shufflenet_v2_x1_0"):
        read_model(path)
