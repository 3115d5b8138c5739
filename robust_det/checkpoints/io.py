"""The project's own checkpoints: written atomically, and nothing runs when they are read."""

from __future__ import annotations

from collections.abc import Container
from pathlib import Path
from typing import Any

import torch

from robust_det.checkpoints.reading import LazyTensor, read_file
from robust_det.core.errors import FileError
from robust_det.core.files import write_atomically

__all__ = ["load_checkpoint", "peek_checkpoint", "save_checkpoint"]

_MAX_DEPTH = 50


def save_checkpoint(path: str | Path, content: dict[str, Any]) -> None:
    """Write a checkpoint atomically.

    Args:
        path: target file; a previous one survives any failure.
        content: tensors, numbers, strings and containers of them.

    Raises:
        UserError: the file system refuses (full disk, no permission).
    """
    write_atomically(path, lambda file: torch.save(content, file))


def load_checkpoint(path: str | Path, leave_out: Container[str] = ()) -> dict[str, Any]:
    """Read a checkpoint into memory.

    Args:
        path: the file.
        leave_out: keys of its dictionary that are not read.

    Raises:
        UserError: no such file, truncated or foreign, or holding objects other than tensors,
            numbers, strings and containers.
    """
    content = peek_checkpoint(path)
    content = {k: v for k, v in content.items() if k not in leave_out}
    try:
        return _Copies(4 * Path(path).stat().st_size).of(content, 0)
    except Exception as error:  # damaged bytes make the readers raise almost anything
        raise FileError(
            "is truncated or not a checkpoint", "download or copy it again", f"checkpoint {path}"
        ) from error


def peek_checkpoint(path: str | Path) -> dict[str, Any]:
    """Do what :func:`load_checkpoint` does, but leave the tensors in the file.

    Raises:
        UserError: as there.
    """
    file = read_file(path)
    if file.foreign:
        raise FileError(
            f"holds objects that could run code ({file.foreign[0]}); refused, nothing was executed",
            source=f"checkpoint {path}",
        )
    if not isinstance(file.value, dict):
        kind = type(file.value).__name__
        raise FileError(f"holds a {kind}, not a dictionary", source=f"checkpoint {path}")
    return file.value


class _Copies:
    """Replaces what is still in the file by copies; what was one object stays one.

    Args:
        room: bytes that the tensors may take: views of one storage could take any number.
    """

    def __init__(self, room: int) -> None:
        self.room = room
        self.made: dict[Any, Any] = {}

    def of(self, value: Any, depth: int) -> Any:
        if value is None or isinstance(value, (str, bytes, bytearray, int, float)):
            return value
        key = value.identity if isinstance(value, LazyTensor) else id(value)
        if key not in self.made:
            self.made[key] = self._copy(value, depth + 1)
        return self.made[key]

    def _copy(self, value: Any, depth: int) -> Any:
        if depth > _MAX_DEPTH:
            raise RecursionError
        if isinstance(value, LazyTensor):
            tensor = value.load()
            self.room -= tensor.nbytes
            if self.room < 0:
                raise MemoryError
            return tensor.clone()
        if isinstance(value, dict):
            return {self.of(k, depth): self.of(v, depth) for k, v in value.items()}
        if isinstance(value, (list, tuple, set, frozenset)):
            return type(value)(self.of(v, depth) for v in value)
        raise TypeError(type(value).__name__)
