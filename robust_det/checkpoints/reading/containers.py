"""One door for every file: what it is shows in its first bytes, whatever its name."""

from __future__ import annotations

import functools
import mmap
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import safe_open

from robust_det.checkpoints.first_look import first_look, is_safetensors
from robust_det.checkpoints.other_files import REPACK, UNPACKED
from robust_det.checkpoints.reading.machine import run_pickle
from robust_det.checkpoints.reading.rebuild import FUNCTIONS
from robust_det.checkpoints.reading.tensors import LazyTensor
from robust_det.checkpoints.reading.torch_files import LEGACY_MAGIC, read_legacy, read_zip
from robust_det.checkpoints.reading.values import Malformed, Placeholder, Unsupported, is_key
from robust_det.core.errors import FileError, UserError, reason_of

__all__ = ["FileContent", "read_file"]

# of safetensors; what is longer takes gigabytes to read, and no network that is known has so many
_LONGEST_HEADER, _MAX_TENSORS = 10_000_000, 20_000
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
    head = first_look(path)
    try:
        with open(path, "rb") as file:
            content = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_COPY)
    except (OSError, ValueError) as error:  # or it was emptied since
        raise UserError(f"checkpoint {path} cannot be read: {reason_of(error)}") from error
    try:
        if is_safetensors(head, len(content)):
            return _read_safetensors(path, content)
        foreign: set[str] = set()
        if head.startswith(b"PK"):
            kind, value = "torch zip", read_zip(content, foreign)
        elif _is_legacy(content):
            kind, value = "torch legacy", read_legacy(content, foreign)
        else:
            content.seek(0)
            kind, value = "pickle", run_pickle(content, FUNCTIONS, _elsewhere, foreign)  # type: ignore[arg-type]
        return FileContent(value, tuple(sorted(foreign)), kind, {})
    except Unsupported as error:
        error.source = str(path)
        raise
    except Exception as error:  # damaged bytes make the readers raise almost anything
        raise FileError(
            "is truncated or not a checkpoint", "download or copy it again", f"checkpoint {path}"
        ) from error


def _elsewhere(identifier: Any) -> Any:
    raise Unsupported(f"is part {UNPACKED}, or refers to something else outside of it", REPACK)


def _is_legacy(content: mmap.mmap) -> bool:
    content.seek(0)
    try:
        return run_pickle(content, FUNCTIONS, longest=5) == LEGACY_MAGIC  # type: ignore[arg-type]
    except Exception:  # the other reader says what is wrong
        return False


def _header_length(content: mmap.mmap) -> int:
    return int.from_bytes(content[:8], "little")


def _read_safetensors(path: Path, content: mmap.mmap) -> FileContent:
    tensors: dict[str, LazyTensor | Placeholder] = {}
    if _header_length(content) > _LONGEST_HEADER:
        raise Unsupported("has a header of many megabytes, which is not that of one network")
    file = safe_open(path, framework="pt")
    names = file.keys()
    if len(names) > _MAX_TENSORS:
        raise Unsupported(f"holds {len(names)} tensors, which are not those of one network")
    for name in names:
        if not is_key(name):
            raise Malformed("an endless name")
        view = file.get_slice(name)
        dtype = _SAFETENSORS_DTYPES.get(kind := view.get_dtype())
        if dtype is None:  # such as numbers of four bits, beside a network perhaps
            tensors[name] = Placeholder(f"safetensors.{kind}")
            continue
        load = functools.partial(file.get_tensor, name)
        tensors[name] = LazyTensor(tuple(view.get_shape()), dtype, name, load)
    foreign = {v.name for v in tensors.values() if isinstance(v, Placeholder)}
    metadata = dict(file.metadata() or {})
    return FileContent(tensors, tuple(sorted(foreign)), "safetensors", metadata)
