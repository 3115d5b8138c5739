"""Files of torch's two formats and plain pickles, how they are damaged, and what comes back."""

from __future__ import annotations

import pickle
import struct
import zipfile
from pathlib import Path
from typing import Any

import torch

from robust_det.checkpoints.reading import LazyTensor, read_file
from robust_det.models import build_classifier

ROBUSTNESS = Path(__file__).parents[2] / "fixtures" / "robustness"
# format and pickle protocol; torch's archives cannot have the oldest
TORCH = [("zip", 2), ("zip", 4), ("zip", 5), ("legacy", 2), ("legacy", 4), ("legacy", 5)]
PICKLE = [("pickle", protocol) for protocol in range(6)]


def write(path: Path, content: Any, how: tuple[str, int] = ("zip", 2)) -> None:
    kind, protocol = how
    if kind == "pickle":
        path.write_bytes(pickle.dumps(content, protocol))
        return
    torch.save(
        content,
        path,
        pickle_protocol=protocol,
        _use_new_zipfile_serialization=kind == "zip",
    )


def loaded(value: Any) -> Any:
    """Ask for the tensors."""
    if isinstance(value, LazyTensor):
        tensor = value.load()
        assert tuple(tensor.shape) == value.shape and tensor.dtype == value.dtype
        return tensor
    if isinstance(value, dict):
        return {key: loaded(inner) for key, inner in value.items()}
    if isinstance(value, (list, tuple)):
        return type(value)(map(loaded, value))
    return value


def back(path: Path, content: Any, how: tuple[str, int] = ("zip", 2)) -> Any:
    """Write and read a content."""
    write(path, content, how)
    file = read_file(path)
    assert file.foreign == ()
    assert file.kind == {"zip": "torch zip", "legacy": "torch legacy"}.get(how[0], "pickle")
    return loaded(file.value)


def entry_of(path: Path, ending: str) -> tuple[int, int]:
    """Where the bytes of an archive's entry are."""
    with zipfile.ZipFile(path) as archive:
        info = next(i for i in archive.infolist() if i.filename.endswith(ending))
    name, extra = struct.unpack_from("<HH", path.read_bytes(), info.header_offset + 26)
    return info.header_offset + 30 + name + extra, info.file_size


def damage(path: Path, ending: str) -> None:
    """Change a byte of an entry."""
    start, length = entry_of(path, ending)
    data = bytearray(path.read_bytes())
    data[start + length // 2] ^= 1
    path.write_bytes(data)


def checkpoint() -> dict[str, Any]:
    torch.manual_seed(0)
    state = build_classifier("resnet10_narrow", 4).body.state_dict()
    momentum = {0: {"momentum_buffer": torch.ones(1000)}}
    return {"state_dict": state, "optimizer": {"state": momentum, "param_groups": []}}
