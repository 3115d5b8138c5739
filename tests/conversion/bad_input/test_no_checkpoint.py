"""Files that hold no network."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image

from robust_det.models import build_classifier

from .network import ARCH


def text(path: Any) -> None:
    path.write_text("# Weights\n\nare in another repository\n")


def image(path: Any) -> None:
    Image.new("RGB", (32, 32)).save(path, "PNG")


def random_bytes(path: Any) -> None:
    path.write_bytes(torch.randint(256, (5000,)).to(torch.uint8).numpy().tobytes())


def cut_off(path: Any) -> None:
    torch.save(build_classifier(ARCH, 10).body.state_dict(), path)
    path.write_bytes(path.read_bytes()[:-1000])


def web_page(path: Any) -> None:
    path.write_text("<!DOCTYPE html><html><body>Quota exceeded</body></html>")


def empty(path: Any) -> None:
    path.touch()


def folder(path: Any) -> None:
    path.mkdir()


def nothing(path: Any) -> None:
    pass


def torchscript(path: Any) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # deprecated, but there are such files
        traced = torch.jit.trace(build_classifier(ARCH, 10).eval(), torch.rand(1, 3, 32, 32))
        torch.jit.save(traced, str(path))


def hyperparameters(path: Any) -> None:
    torch.save({"epoch": 3, "optimizer": {"lr": 0.1}, "names": ["a"]}, path)


def one_tensor(path: Any) -> None:
    torch.save(torch.rand(3, 4), path)


def objects_alone(path: Any) -> None:
    torch.save({"args": torch.Generator}, path)


@pytest.mark.parametrize(
    "write, found",
    [
        (text, "not a checkpoint"),
        (image, "not a checkpoint"),
        (random_bytes, "not a checkpoint"),
        (cut_off, "truncated"),
        (web_page, "is a web page, so its download failed; download it again"),
        (empty, "is empty"),
        (folder, "is a folder, not a checkpoint; give a file"),
        (nothing, "no checkpoint at"),
        (torchscript, "checkpoint"),
        (hyperparameters, "holds no tensors by name; save a network's state_dict()"),
        (one_tensor, "holds no tensors by name; save a network's state_dict()"),
        (objects_alone, "holds no tensors by name; save a network's state_dict()"),
    ],
)
def test_what_is_no_checkpoint(
    tmp_path: Path, refused: Callable[..., str], write: Any, found: str
) -> None:
    path = tmp_path / "weights.pth"
    write(path)
    message = refused(path, tmp_path / "out.pth")
    assert str(path) in message and found in message


@pytest.mark.parametrize("legacy", [False, True])
@pytest.mark.parametrize("container", [None, "model"])
def test_a_whole_network_is_not_unpickled(
    tmp_path: Path,
    refused: Callable[..., str],
    network: torch.nn.Module,
    legacy: bool,
    container: str | None,
) -> None:
    path = tmp_path / "weights.pt"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch cannot find the source of every class
        torch.save(
            network if container is None else {container: network, "epoch": 1},
            path,
            _use_new_zipfile_serialization=not legacy,
        )
    assert refused(path, tmp_path / "out.pth") == (
        f"{path} holds an object of class robust_det.models.narrow.NarrowResNet, which is not"
        " rebuilt, since that would run code; save the network's state_dict() instead"
    )


def test_a_trap_does_not_go_off(
    malicious: tuple[Path, Path], tmp_path: Path, refused: Callable[..., str]
) -> None:
    path, marker = malicious
    message = refused(path, tmp_path / "out.pth")
    assert str(path) in message
    assert not marker.exists()


def test_an_address(tmp_path: Path, refused: Callable[..., str]) -> None:
    message = refused("https://example.org/resnet50.pth", tmp_path / "out.pth")
    assert message == (
        "INPUT https://example.org/resnet50.pth is an address; download it, and give the file"
    )
    assert "'no_such_model'" in refused("robust://no_such_model", tmp_path / "out.pth")


def test_arguments_the_wrong_way_round(
    source: Path, tmp_path: Path, refused: Callable[..., str]
) -> None:
    assert refused(tmp_path / "new.pth", source) == f"no checkpoint at {tmp_path / 'new.pth'}"
