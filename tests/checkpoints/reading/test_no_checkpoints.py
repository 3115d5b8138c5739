"""What people take for a checkpoint: one line says what it is."""

from __future__ import annotations

import io
import json
import tarfile
import warnings
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import save
from torch import nn

from robust_det.checkpoints.io import load_checkpoint
from robust_det.checkpoints.model_file import read_model
from robust_det.checkpoints.reading import read_file
from robust_det.core.errors import UserError

from .files import loaded, write


def array() -> bytes:
    buffer = io.BytesIO()
    np.save(buffer, np.ones(3))
    return buffer.getvalue()


def arrays(compress: bool) -> bytes:
    buffer = io.BytesIO()
    named: Any = {"conv1.weight": np.ones(3)}
    (np.savez_compressed if compress else np.savez)(buffer, **named)
    return buffer.getvalue()


def script() -> bytes:
    buffer = io.BytesIO()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # deprecated, but there are such files
        torch.jit.save(torch.jit.script(nn.ReLU()), buffer)
    return buffer.getvalue()


def exported() -> bytes:
    buffer = io.BytesIO()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.export.save(torch.export.export(nn.Linear(2, 2), (torch.ones(1, 2),)), buffer)
    return buffer.getvalue()


def zipped(*names: str, compress: bool = False) -> bytes:
    buffer = io.BytesIO()
    method = zipfile.ZIP_DEFLATED if compress else zipfile.ZIP_STORED
    with zipfile.ZipFile(buffer, "w", method) as archive:
        for name in names:
            archive.writestr(name, b"content" * 9)
    return buffer.getvalue()


PARTS = {"metadata": {"total_size": 9}, "weight_map": {"conv1.weight": "model-1.safetensors"}}


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
        (array(), "is an array of NumPy, which is not one of torch; export the weights with torch"),
        (arrays(False), "is an archive of NumPy arrays, which is not one of torch; export the"),
        (arrays(True), "is an archive of NumPy arrays, which is not one of torch; export the"),
        (script(), "is a TorchScript archive; save the state_dict() of what torch.jit.load"),
        (exported(), "is a program of torch.export; save the state_dict of what torch.export"),
        (b"\x08\x0a\x12\x07pytorch\x1a\x03" + b"2.4", "is an ONNX file; give the weights"),
        (b"\x08\x08:\xff\x01\x0a\x10", "is an ONNX file; give the weights"),
        (json.dumps(PARTS).encode(), "is the list of a checkpoint's parts; join them into one"),
        (json.dumps(PARTS, indent=2).encode(), "is the list of a checkpoint's parts; join them"),
        (b'{"architectures": ["ResNet"]}', "is a text in JSON, not a checkpoint; give the file"),
        (zipped("weights/a.pth"), "is a zip archive with weights/a.pth in it; unpack it and give"),
        (zipped("a.pt", "b.pt", compress=True), "is a zip archive with a.pt and 1 more in it; unp"),
        (zipped("README.md"), "is a zip archive without a checkpoint in it; give the file of"),
        (zipped("a/data.pkl", "b/data.pkl"), "is an archive of 2 checkpoints; unpack it and give"),
        (zipped("a/data.pkl", compress=True), "is a compressed archive, which torch.save never"),
        (zipped("config.json", "model.weights.h5"), "is a model of Keras, which is not one of to"),
        (zipped("p/.data/extern_modules"), "is an archive of torch.package; save the state_dict"),
        (b"7z\xbc\xaf\x27\x1c", "is a 7-Zip archive; unpack it"),
        (b"\x28\xb5\x2f\xfd", "is a Zstandard archive; unpack it"),
        (b"\x1c\x00\x00\x00TFL3", "is a model of TensorFlow Lite"),
        (b"MATLAB 5.0 MAT-file", "is a file of MATLAB"),
        (b"\xef\xbb\xbf\r\n<html>", "is a web page, so its download failed; download it again"),
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


def test_a_folder_names_its_weights_and_not_what_training_goes_on_from(tmp_path: Path) -> None:
    for name in ("model.safetensors", "optimizer.pt", "rng_state.pth", "training_args.bin"):
        (tmp_path / name).touch()
    with pytest.raises(UserError, match=r"such as model\.safetensors$"):
        read_file(tmp_path)


@pytest.mark.parametrize(
    "names, message",
    [
        (["model/data.pkl", "model/data/0"], "the folder of a checkpoint that was unpacked; pack"),
        (["data.pkl", "version"], "the folder of a checkpoint that was unpacked; pack the folder"),
        (
            [".metadata", "__0_0.distcp"],
            "the folder of a checkpoint in parts, of torch.distributed.checkpoint; join its parts"
            " with python -m torch.distributed.checkpoint.format_utils dcp_to_torch PATH",
        ),
        (["zero_to_fp32.py"], "the folder of a checkpoint of DeepSpeed; join its parts with the"),
        (["global_step9/zero_pp_rank_0_mp_rank_00_optim_states.pt"], "the folder of a checkpoint"),
        (["saved_model.pb"], "the folder of a model of TensorFlow, which is not one of torch; exp"),
        (["config.json", "model.safetensors"], "a folder, not a checkpoint; give a file in it, su"),
    ],
)
def test_folders(tmp_path: Path, names: list[str], message: str) -> None:
    for name in names:
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    with pytest.raises(UserError) as caught:
        read_model(tmp_path)
    assert str(caught.value).startswith(f"{tmp_path} is {message.replace('PATH', str(tmp_path))}")


@pytest.mark.parametrize("name", ["__0_0.distcp", ".metadata"])
def test_parts_are_told_by_their_names(tmp_path: Path, name: str) -> None:
    write(tmp_path / "whole", {"w": torch.ones(2)})
    (tmp_path / "whole").rename(tmp_path / name)
    with pytest.raises(UserError, match="is part of a checkpoint in parts, of torch"):
        read_file(tmp_path / name)


def test_an_unpacked_checkpoint_is_one_again_when_it_is_packed(tmp_path: Path, path: Path) -> None:
    torch.save({"w": torch.arange(3.0), "b": torch.ones(1, dtype=torch.uint8)}, path)
    with zipfile.ZipFile(path) as archive:
        archive.extractall(tmp_path / "unpacked")
    pickled = next((tmp_path / "unpacked").rglob("data.pkl"))
    alone = tmp_path / "alone.pkl"
    alone.write_bytes(pickled.read_bytes())
    for left, what in (
        (pickled, "part of a"),
        (pickled.parent, "the folder of a"),
        (alone, "part"),
    ):
        with pytest.raises(
            UserError, match=f"is {what}.* checkpoint that was unpacked.*; pack the"
        ):
            read_file(left)
    # as zip -0 -r does it, with the folders
    with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED) as archive:
        for part in sorted((tmp_path / "unpacked").rglob("*")):
            archive.write(part, part.relative_to(tmp_path / "unpacked"))
    value = loaded(read_file(path).value)
    assert value["w"].tolist() == [0, 1, 2] and value["b"].tolist() == [1]
    assert torch.equal(torch.load(path, weights_only=True)["w"], value["w"])


def test_what_the_file_system_refuses(tmp_path: Path) -> None:
    link = tmp_path / "link.pth"
    link.symlink_to(link)
    with pytest.raises(UserError, match=f"^no checkpoint at {link}$"):
        read_file(link)
    with pytest.raises(UserError, match=r" cannot be read: File name too long$"):
        read_file(tmp_path / ("x" * 300))


@pytest.mark.parametrize("first", b"<{\x08\x1fB")
def test_a_safetensors_file_may_begin_like_any_other(first: int, path: Path) -> None:
    data = save({"w": torch.ones(2)})
    # the length of its header comes first, and the header may end in spaces
    length = int.from_bytes(data[:8], "little")
    spaces = (first - length) % 256
    header = data[8 : 8 + length] + b" " * spaces
    path.write_bytes(len(header).to_bytes(8, "little") + header + data[8 + length :])
    assert path.read_bytes()[0] == first
    file = read_file(path)
    assert file.kind == "safetensors" and loaded(file.value)["w"].tolist() == [1, 1]


def test_a_safetensors_file_of_more_than_a_network(path: Path) -> None:
    path.write_bytes(save({f"{i}.weight": torch.empty(0) for i in range(20_001)}))
    with pytest.raises(UserError, match="holds 20001 tensors, which are not those of one network"):
        read_file(path)
    header = b"{}" + b" " * 10_000_000
    path.write_bytes(len(header).to_bytes(8, "little") + header)
    with pytest.raises(UserError, match="has a header of many megabytes, which is not that of one"):
        read_file(path)
