"""What shows of a checkpoint before it is read, and without torch."""

from __future__ import annotations

from pathlib import Path

from robust_det.checkpoints.other_files import other_file, other_folder
from robust_det.core.errors import FileError, UserError

__all__ = ["first_look", "is_safetensors"]

_HEAD = 512


def first_look(path: str | Path) -> bytes:
    """Return the first bytes of a file that may be a checkpoint.

    Raises:
        UserError: not there, unreadable, a folder, or seen at once to be something else.
    """
    path = Path(path)
    try:
        if path.is_dir():
            raise FileError(*_is(other_folder(path)), str(path))
        if not path.is_file():
            raise UserError(f"no checkpoint at {path}")
        with open(path, "rb") as file:
            head = file.read(_HEAD)
        size = path.stat().st_size
    except OSError as error:
        raise UserError(f"checkpoint {path} cannot be read: {error.strerror or error}") from error
    if not head:
        raise FileError("is empty", source=f"checkpoint {path}")
    # the first byte of a safetensors file can be any
    if not is_safetensors(head, size) and (other := other_file(path, head)):
        raise FileError(*_is(other), str(path))
    return head


def is_safetensors(head: bytes, size: int) -> bool:
    """Whether a length of its header comes first, which no text has: eight letters are a giant."""
    return head[8:9] == b"{" and int.from_bytes(head[:8], "little") <= size - 8


def _is(other: tuple[str, str]) -> tuple[str, str]:
    return f"is {other[0]}", other[1]
