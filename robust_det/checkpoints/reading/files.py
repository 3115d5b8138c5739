"""One door for every file: what it is shows in its first bytes, whatever its name."""

from __future__ import annotations

import functools
import mmap
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import safe_open

from robust_det.checkpoints.reading.machine import Malformed, Unsupported, is_key, run_pickle
from robust_det.checkpoints.reading.rebuild import FUNCTIONS
from robust_det.checkpoints.reading.tensors import LazyTensor
from robust_det.checkpoints.reading.torch_files import LEGACY_MAGIC, read_legacy, read_zip
from robust_det.errors import UserError

__all__ = ["FileContent", "read_file"]

# first bytes of what people take for a checkpoint, and what to do about it
_NOT_CHECKPOINTS = (
    (b"<", "a web page, so its download failed; download it again"),
    (b"version https://git-lfs", "a pointer of git-lfs; fetch the file itself with 'git lfs pull'"),
    (b"\x1f\x8b", "a gzip archive; unpack it and give the checkpoint in it"),
    (b"BZh", "a bzip2 archive; unpack it and give the checkpoint in it"),
    (b"\xfd7zXZ", "an xz archive; unpack it and give the checkpoint in it"),
    (b"\x89HDF", "an HDF5 file, which is not one of torch; export the weights with torch.save"),
)
_SAFETENSORS_DTYPES = {
    "F64": torch.float64,
    "F32": torch.float32,
    "F16": torch.float16,
    "BF16": torch.bfloat16,
    "F8_E4M3": torch.float8_e4m3fn,
    "F8_E5M2": torch.float8_e5m2,
    "I64": torch.int64,
    "I32": torch.int32,
    "I16": torch.int16,
    "I8": torch.int8,
    "U8": torch.uint8,
    "U16": torch.uint16,
    "U32": torch.uint32,
    "U64": torch.uint64,
    "BOOL": torch.bool,
}


@dataclass(frozen=True)
class FileContent:
    """What a file holds.

    Attributes:
        value: numbers, strings, containers, :class:`LazyTensor`, and placeholders for the rest.
        foreign: names of the classes and functions that were left placeholders.
        kind: ``torch zip``, ``torch legacy``, ``pickle`` or ``safetensors``.
        metadata: of a safetensors file.
    """

    value: Any
    foreign: tuple[str, ...]
    kind: str
    metadata: dict[str, str]


def read_file(path: str | Path) -> FileContent:
    """Read a checkpoint of any known file format; its tensors stay in the file until asked for.

    The file must stay as it is while they are in use.

    Raises:
        UserError: not there, unreadable, truncated, or nothing of torch.
    """
    path = Path(path)
    if path.is_dir():
        raise UserError(f"{path} is a folder, not a checkpoint; give a file")
    if not path.is_file():
        raise UserError(f"no checkpoint at {path}")
    try:
        with open(path, "rb") as file:
            head = file.read(512)
            if not head:
                raise UserError(f"checkpoint {path} is empty")
            content = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_COPY)
    except OSError as error:
        raise UserError(f"checkpoint {path} cannot be read: {error.strerror or error}") from error
    for start, what in _NOT_CHECKPOINTS:
        if head.startswith(start):
            raise UserError(f"{path} is {what}")
    if head[257:262] == b"ustar":
        raise UserError(f"{path} is a tar archive; unpack it and give the checkpoint in it")
    try:
        if head[8:9] == b"{":
            return _read_safetensors(path)
        foreign: set[str] = set()
        if head.startswith(b"PK"):
            kind, value = "torch zip", read_zip(content, foreign)
        elif _is_legacy(content):
            kind, value = "torch legacy", read_legacy(content, foreign)
        else:
            content.seek(0)
            kind, value = "pickle", run_pickle(content, FUNCTIONS, None, foreign)  # type: ignore[arg-type]
        return FileContent(value, tuple(sorted(foreign)), kind, {})
    except Unsupported as error:
        raise UserError(f"{path} {error}") from error
    except Exception as error:  # damaged bytes make the readers raise almost anything
        raise UserError(
            f"checkpoint {path} is truncated or not a checkpoint; download or copy it again"
        ) from error


def _is_legacy(content: mmap.mmap) -> bool:
    content.seek(0)
    try:
        return run_pickle(content, FUNCTIONS, longest=5) == LEGACY_MAGIC  # type: ignore[arg-type]
    except Exception:  # the other reader says what is wrong
        return False


def _read_safetensors(path: Path) -> FileContent:
    tensors = {}
    file = safe_open(path, framework="pt")
    for name in file.keys():  # noqa: SIM118  not a dictionary
        if not is_key(name):
            raise Malformed("an endless name")
        view = file.get_slice(name)
        dtype = _SAFETENSORS_DTYPES[view.get_dtype()]
        load = functools.partial(file.get_tensor, name)
        tensors[name] = LazyTensor(tuple(view.get_shape()), dtype, name, load)
    return FileContent(tensors, (), "safetensors", dict(file.metadata() or {}))
