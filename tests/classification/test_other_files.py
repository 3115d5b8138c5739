"""--eval-only and --weights on files of others: the figures are those of the original network,
which torch, torchvision and Pillow alone compute here."""

from __future__ import annotations

import collections
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import save_file
from torch import nn
from torchvision import datasets, transforms
from torchvision.models.resnet import BasicBlock

from robust_det.checkpoints.io import load_checkpoint
from robust_det.models import IMAGENET_MEAN, IMAGENET_STD
from robust_det.models.narrow import NarrowResNet
from robust_det.records import read_record
from robust_det.records.pretrain import ClassifierEvaluationRecord
from tests.support.tools import run_tool

CLASSES, IMAGES, MISPLACED, SIZE = 3, 30, 7, 32
OTHER = ((0.6, 0.3, 0.4), (0.15, 0.3, 0.2))
STILL = ("OPTIM.LR", 1e-12, "TRAIN.EPOCHS", 1, "OPTIM.EMA_DECAY", 0)
Norm = tuple[tuple[float, ...], tuple[float, ...]]
IMAGENET: Norm = (IMAGENET_MEAN, IMAGENET_STD)


class Case(NamedTuple):
    """A file in somebody's layout, and what is known of it."""

    weights: str
    words: tuple[str, ...]  # of the command line
    said: str
    norm: Norm


def network(seed: int) -> nn.Module:
    """A network of torchvision's whose batch norms are not those that it was made with."""
    torch.manual_seed(seed)
    body = NarrowResNet(BasicBlock, [1, 1, 1, 1], width=16, num_classes=CLASSES).eval()
    for module in body.modules():
        if isinstance(module, nn.BatchNorm2d):
            for name, low in (("running_mean", -0.3), ("running_var", 0.5), ("weight", 0.5)):
                getattr(module, name).data.uniform_(low, low + 1)
    return body


def pixels(folder: Path) -> tuple[torch.Tensor, torch.Tensor]:
    """Return images (N, 3, 32, 32) in [0, 1] and classes as torchvision's own pipeline does."""
    crops = [transforms.Resize(36), transforms.CenterCrop(SIZE), transforms.ToTensor()]
    data = datasets.ImageFolder(str(folder), transforms.Compose(crops))
    x, y = zip(*data, strict=True)
    return torch.stack(x), torch.tensor(y)


@torch.no_grad()
def logits(body: nn.Module, x: torch.Tensor, norm: Norm) -> torch.Tensor:
    mean, std = (torch.tensor(each).view(3, 1, 1) for each in norm)
    out: torch.Tensor = body((x - mean) / std)
    return out


def top1(body: nn.Module, folder: Path, norm: Norm) -> float:
    x, y = pixels(folder)
    return 100 * float((logits(body, x, norm).argmax(1) == y).double().mean())


def images_of(body: nn.Module, norm: Norm, root: Path) -> Path:
    """Write images into folders of the classes that the network takes them for, but for some."""
    rng = np.random.default_rng(0)
    loose = root / "loose" / "all"
    loose.mkdir(parents=True)
    for i in range(IMAGES):
        tint = rng.integers(0, 160, 3)
        shape = (*rng.integers(36, 60, 2), 3)
        image = Image.fromarray((tint + rng.integers(0, 96, shape)).astype(np.uint8))
        image.save(loose / f"{i:02d}.jpg", quality=95)
    found = logits(body, pixels(loose.parent)[0], norm)
    # as many of each class as can be, so that no constant answer is right
    classes = (found - found.mean(0)).argmax(1)
    body.get_parameter("fc.bias").data -= found.mean(0)
    for i, k in enumerate(classes.tolist()):
        for split in ("train", "val"):
            wrong = split == "val" and i < MISPLACED
            to = root / split / f"class{(k + wrong) % CLASSES}" / f"{i:02d}.jpg"
            to.parent.mkdir(parents=True, exist_ok=True)
            to.write_bytes((loose / f"{i:02d}.jpg").read_bytes())
    return root


def robustness_layout(body: nn.Module, norm: Norm) -> dict[str, Any]:
    """The network twice, as the library saves it: bare, and within its attacker."""
    state: dict[str, torch.Tensor] = collections.OrderedDict()
    for place in ("normalizer", "attacker.normalize"):
        for name, values in zip(("new_mean", "new_std"), norm, strict=True):
            state[f"module.{place}.{name}"] = torch.tensor(values).view(3, 1, 1)
    for place in ("model", "attacker.model"):
        state |= {f"module.{place}.{k}": v for k, v in body.state_dict().items()}
    optimizer = torch.optim.SGD(body.parameters(), 0.1, momentum=0.9)
    return {
        "model": state,
        "optimizer": optimizer.state_dict(),
        "schedule": {"base_lrs": [0.1], "last_epoch": 3, "_last_lr": [np.float64(0.01)]},
        "epoch": 4,
        "nat_prec1": torch.tensor(55.0),
        "prec1": np.float64(33.3),
    }


def write_two(path: Path, bodies: dict[str, nn.Module]) -> None:
    """Save several networks in one file."""
    states = {key: body.state_dict() for key, body in bodies.items()}
    torch.save({k: {f"net.{n}": t for n, t in s.items()} for k, s in states.items()}, path)


@pytest.fixture(params=["torchvision", "timm", "robustness", "zoo", "two networks"])
def case(request: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[Case, nn.Module]:
    """A file in one of the layouts, the network that was put into it, and its images below
    ``tmp_path/images``."""
    kind, body = request.param, network(0)
    norm = OTHER if kind in ("robustness", "zoo") else IMAGENET
    images_of(body, norm, tmp_path / "images")
    state = body.state_dict()
    path, words, said = tmp_path / "file.pth", list[str](), "does not say its normalisation"
    if kind == "torchvision":
        torch.save(state, path)
    elif kind == "timm":
        path = path.with_suffix(".safetensors")
        save_file(state, path, metadata={"format": "pt"})
    elif kind in ("robustness", "zoo"):
        torch.save(robustness_layout(body, norm), path)
        said = "robustness checkpoint"
    else:
        write_two(path, {"teacher": network(1), "assistant": body})
        words = ["--prefix", "assistant/net."]
    weights = str(path)
    if kind == "zoo":
        monkeypatch.setenv("ROBUST_DET_BACKBONES", str(tmp_path / "own"))
        out = tmp_path / "own" / "mine.pth"
        done = run_tool("convert_backbone", path, out, "--norm", "linf", "--eps", "4/255")
        assert done.code == 0, done.err
        weights, said = "robust://mine", "linf eps 0.0156863"
    return Case(weights, tuple(words), said, norm), body


def on(images: Path) -> tuple[object, ...]:
    return ("DATA.ROOT", images, "DATA.RESIZE", 36, "DATA.IMAGE_SIZE", SIZE)


def test_an_evaluation_finds_what_the_original_does(
    case: tuple[Case, nn.Module], pretrain: Callable[..., Any], tmp_path: Path, tiny: Path
) -> None:
    (given, body), images = case, tmp_path / "images"
    expected = top1(body, images / "val", given.norm)
    assert expected == pytest.approx(100 * (IMAGES - MISPLACED) / IMAGES)
    # with another normalisation it would be another figure
    wrong = IMAGENET if given.norm == OTHER else OTHER
    assert abs(top1(body, images / "val", wrong) - expected) > 5
    tiny.write_text(tiny.read_text().replace("EPS: 0.25, STEPS: 1, RANDOM_START: true", ""))
    outcome = pretrain("--eval-only", "--weights", given.weights, *given.words, *on(images))
    assert outcome.code == 0, outcome.err
    assert given.said in outcome.out and f"clean_top1: {expected:.2f}" in outcome.out
    record = read_record(tmp_path / "run" / "eval", ClassifierEvaluationRecord)
    assert record.metrics["clean_top1"] == pytest.approx(expected)
    assert (record.arch, record.data.images) == ("resnet10_narrow", IMAGES)


def test_a_run_starts_from_the_original(
    case: tuple[Case, nn.Module], pretrain: Callable[..., Any], tmp_path: Path
) -> None:
    (given, body), images = case, tmp_path / "images"
    mean, std = (str(list(each)) for each in given.norm)
    words = (*given.words, *on(images), "MODEL.MEAN", mean, "MODEL.STD", std)
    outcome = pretrain("--weights", given.weights, *words, *STILL)
    assert outcome.code == 0, outcome.err
    assert outcome.out.count("starting from ") == outcome.out.count("its head") == 1
    after = load_checkpoint(tmp_path / "run" / "final.pth")["model"]
    for name, value in body.named_parameters():
        assert torch.allclose(after[name], value, atol=1e-6), name


def test_which_of_several_networks_is_said_by_an_option(
    pretrain: Callable[..., Any], tmp_path: Path
) -> None:
    path = tmp_path / "two.pth"
    write_two(path, {"a": network(0), "b": network(1)})
    for mode in ((), ("--eval-only",)):
        error = pretrain("--weights", path, *mode).error
        assert "holds 2 different networks" in error and "choose with --prefix 'a/net.'" in error
        error = pretrain("--weights", path, "--arch", "resnet18", "--prefix", "a/net.", *mode).error
        assert "leave --arch out" in error
        assert "are of the file of --weights" in pretrain("--prefix", "a", *mode).error
    assert not (tmp_path / "run").exists()


@pytest.mark.slow
def test_two_processes_start_from_one_file(
    tmp_path: Path, tiny: Path, start: Any, finish: Any
) -> None:
    body = network(0)
    torch.save(robustness_layout(body, IMAGENET), tmp_path / "file.pth")
    words = ("--weights", tmp_path / "file.pth", *STILL)
    launcher = ("-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2")
    outcome = finish(start(*words, launcher=launcher))
    assert outcome.code == 0, outcome.err
    text = outcome.out + outcome.err
    assert text.count("starting from ") == text.count("its head, whose classes the file") == 1
    after = load_checkpoint(tmp_path / "run" / "final.pth")["model"]
    for name, value in body.named_parameters():
        assert torch.allclose(after[name], value, atol=1e-6), name
    record = json.loads((tmp_path / "run" / "record.json").read_text())
    assert record["processes"] == 2 and record["started_from"]["path"].endswith("file.pth")
