"""The project's own checkpoints: written atomically, and nothing runs when they are read."""

from __future__ import annotations

from collections.abc import Container
from pathlib import Path
from typing import Any

import torch

from robust_det.checkpoints.reading import LazyTensor, Placeholder, read_file
from robust_det.checkpoints.reading.machine import Global
from robust_det.errors import UserError
from robust_det.files import write_atomically

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
    try:
        return _loaded({k: v for k, v in content.items() if k not in leave_out}, {}, 0)
    except Exception as error:  # damaged bytes make the readers raise almost anything
        raise UserError(
            f"checkpoint {path} is truncated or not a checkpoint; download or copy it again"
        ) from error


def peek_checkpoint(path: str | Path) -> dict[str, Any]:
    """Do what :func:`load_checkpoint` does, but leave the tensors in the file.

    Raises:
        UserError: as there.
    """
    file = read_file(path)
    if file.foreign:
        raise UserError(
            f"checkpoint {path} holds objects that could run code ({file.foreign[0]}); refused,"
            " nothing was executed"
        )
    if not isinstance(file.value, dict):
        raise UserError(f"checkpoint {path} holds a {type(file.value).__name__}, not a dictionary")
    return file.value


def _loaded(value: Any, shared: dict[Any, torch.Tensor], depth: int) -> Any:
    """Replace what is still in the file by copies; tensors that were one tensor stay one."""
    if depth > _MAX_DEPTH:
        raise RecursionError
    if isinstance(value, LazyTensor):
        if value.identity not in shared:
            shared[value.identity] = value.load().clone()
        return shared[value.identity]
    if isinstance(value, dict):
        keys = (_loaded(k, shared, depth + 1) for k in value)
        return {k: _loaded(v, shared, depth + 1) for k, v in zip(keys, value.values(), strict=True)}
    if isinstance(value, (list, tuple, set, frozenset)):
        return type(value)(_loaded(v, shared, depth + 1) for v in value)
    if isinstance(value, (Global, Placeholder)):
        raise TypeError(value.name)
    return value
