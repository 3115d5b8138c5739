"""Where the result cannot go."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from robust_det.checkpoints.model_file import read_model
from tests.support import Outcome

from .network import ARCH


def test_an_output_that_exists(
    source: Path, tmp_path: Path, refused: Callable[..., str], tool: Callable[..., Outcome]
) -> None:
    target = tmp_path / "out.pth"
    target.write_bytes(b"precious")
    assert (
        refused(source, target)
        == f"{target} exists; --overwrite replaces it, or name another output"
    )
    # a failure with --overwrite leaves it as well
    state = torch.load(source)
    state["fc.bias"][0] = float("nan")
    torch.save(state, tmp_path / "bad.pth")
    assert "NaN or Inf" in refused(tmp_path / "bad.pth", target, "--overwrite")
    assert target.read_bytes() == b"precious"
    code, out, err = tool(source, target, "--overwrite")
    assert (code, err) == (0, "") and f"wrote {target}" in out
    assert read_model(target).arch == ARCH


@pytest.mark.parametrize("overwrite", [[], ["--overwrite"]])
def test_the_input_is_never_overwritten(
    source: Path, tmp_path: Path, refused: Callable[..., str], overwrite: Any
) -> None:
    (tmp_path / "link.pth").symlink_to(source)
    (tmp_path / "folder").mkdir()
    for target in (source, tmp_path / "link.pth", tmp_path / "folder" / ".." / "good.pth"):
        message = refused(source, target, *overwrite)
        assert message == f"OUTPUT is INPUT, {source}; give another file to write"


@pytest.mark.parametrize(
    "name, to, message",
    [
        ("out.pkl", "detectron2", "OUTPUT must end in .pth, which detectron2 reads: "),
        ("out.safetensors", "detectron2", "OUTPUT must end in .pth, which detectron2 reads: "),
        ("out", "torchvision", "OUTPUT must end in .pth or .pt or .bin or .safetensors, which"),
        ("out.pkl", "timm", "OUTPUT must end in .pth or .pt or .bin or .safetensors, which timm"),
    ],
)
def test_an_output_of_another_suffix(
    source: Path, tmp_path: Path, refused: Callable[..., str], name: str, to: str, message: str
) -> None:
    answer = refused(source, tmp_path / name, "--to", to)
    assert answer.startswith(message) and answer.endswith(str(tmp_path / name))


def test_a_folder_as_output(source: Path, tmp_path: Path, refused: Callable[..., str]) -> None:
    (tmp_path / "out.pth").mkdir()
    assert refused(source, tmp_path / "out.pth") == (
        f"{tmp_path / 'out.pth'} is a folder; give a file to write"
    )


def test_a_file_where_a_folder_should_be(
    source: Path, tmp_path: Path, refused: Callable[..., str]
) -> None:
    target = source / "folder" / "out.pth"
    assert refused(source, target) == (
        f"cannot write {target}: {source} is a file; choose another folder"
    )


@pytest.mark.skipif(not Path("/proc/self").is_dir(), reason="no folder that even root cannot use")
def test_a_folder_that_refuses(source: Path, refused: Callable[..., str]) -> None:
    message = refused(source, "/proc/robust_det/out.pth")
    assert message.startswith("cannot make folder /proc/robust_det: ")
    assert message.endswith("choose another folder")


def test_a_folder_without_permission(
    source: Path, tmp_path: Path, refused: Callable[..., str], monkeypatch: pytest.MonkeyPatch
) -> None:
    locked = tmp_path / "locked"
    locked.mkdir(mode=0o500)
    if os.access(locked, os.W_OK):
        # root may write anywhere; the question is what is made of the answer
        allowed = os.access
        monkeypatch.setattr(os, "access", lambda p, mode: Path(p) != locked and allowed(p, mode))
    target = locked / "deep" / "out.pth"
    assert refused(source, target) == (
        f"cannot write {target}: no permission in {locked}; choose another folder"
    )


def test_a_traceback_for_those_who_ask(
    source: Path, tmp_path: Path, tool: Callable[..., Outcome]
) -> None:
    code, out, err = tool(source, source, "--debug")
    assert (code, out) == (2, "") and "Traceback" in err
    assert err.endswith(f"error: OUTPUT is INPUT, {source}; give another file to write\n")
