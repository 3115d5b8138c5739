"""What people take for a checkpoint: one line says what it is."""

from __future__ import annotations

import io
import tarfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from robust_det.checkpoints.io import load_checkpoint
from robust_det.checkpoints.model_file import read_model
from robust_det.checkpoints.reading import read_file
from robust_det.errors import UserError

from .files import write


def tar() -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        archive.addfile(tarfile.TarInfo("model.pth"))
    return buffer.getvalue()


@pytest.mark.parametrize(
    "data, message",
    [
        (b"", "is empty"),
        (b"<!DOCTYPE html><html>", "a web page, so its download failed; download it again"),
        (b"<?xml version='1.0'?>", "a web page"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:00\n", "git lfs pull"),
        (b"\x1f\x8b\x08\x00", "a gzip archive; unpack it"),
        (b"BZh91AY", "a bzip2 archive; unpack it"),
        (b"\xfd7zXZ\x00", "an xz archive; unpack it"),
        (b"\x89HDF\r\n", "an HDF5 file"),
        (tar(), "a tar archive; unpack it"),
        (b"PK\x05\x06" + bytes(18), "truncated or not a checkpoint"),
        (b"\x80\x02}q\x00", "truncated or not a checkpoint"),
        (b"nothing of the kind", "truncated or not a checkpoint"),
        (b"\x08\x00\x00\x00\x00\x00\x00\x00{}", "truncated or not a checkpoint"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_what_is_no_checkpoint(data: bytes, message: str, path: Path) -> None:
    path.write_bytes(data)
    for read in (read_file, read_model, load_checkpoint):
        with pytest.raises(UserError) as caught:
            read(path)
        assert message in str(caught.value) and str(path) in str(caught.value)


@pytest.mark.parametrize("how", [("zip", 2), ("legacy", 2), ("pickle", 2)])
def test_a_cut_file_is_told(how: Any, path: Path) -> None:
    write(path, {"w": np.ones(1000) if how[0] == "pickle" else torch.ones(1000)}, how)
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(UserError, match=f"checkpoint {path} is truncated or not a checkpoint"):
        read_file(path)


def test_what_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=f"^no checkpoint at {tmp_path}/absent.pth$"):
        read_file(tmp_path / "absent.pth")
    with pytest.raises(UserError, match=f"^{tmp_path} is a folder, not a checkpoint; give a file$"):
        read_file(tmp_path)
