"""Reading and writing checkpoint files: atomically out, and nothing executed on the way in."""

from __future__ import annotations

import pickle
import re
import warnings
from pathlib import Path
from typing import Any

import torch

from robust_det.errors import UserError
from robust_det.files import write_atomically

__all__ = ["load_checkpoint", "save_checkpoint"]

# how torch's restricted unpickler says that it met something other than data
_FORBIDDEN = re.compile(r"Unsupported (global|class)|GLOBAL \S+\.\S+|Trying to (call|instantiate)")


def save_checkpoint(path: str | Path, content: dict[str, Any]) -> None:
    """Write a checkpoint atomically.

    Args:
        path: target file; a previous one survives any failure.
        content: tensors, numbers, strings and containers of them.

    Raises:
        UserError: the file system refuses (full disk, no permission).
    """
    write_atomically(path, lambda file: torch.save(content, file))


def load_checkpoint(path: str | Path) -> dict[str, Any]:
    """Read a checkpoint onto the CPU with ``weights_only=True``: nothing from it is executed.

    Raises:
        UserError: no such file, truncated or foreign, or holding objects other than tensors,
            numbers, strings and containers.
    """
    path = Path(path)
    if not path.is_file():
        raise UserError(f"no checkpoint at {path}")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # on damaged files; the error below says enough
            content = torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        if _FORBIDDEN.search(str(error)):
            raise UserError(
                f"checkpoint {path} holds objects that could run code;"
                " refused, nothing was executed"
            ) from error
        raise UserError(f"checkpoint {path} is truncated or not a checkpoint") from error
    except PermissionError as error:
        raise UserError(f"checkpoint {path} cannot be read: {error.strerror}") from error
    except Exception as error:  # damaged bytes make the readers raise almost anything
        raise UserError(f"checkpoint {path} is truncated or not a checkpoint") from error
    if not isinstance(content, dict):
        raise UserError(f"checkpoint {path} holds a {type(content).__name__}, not a dictionary")
    return content
