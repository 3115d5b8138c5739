"""Files: written so that a crash or a full disk never destroys what was there, and hashed."""

from __future__ import annotations

import contextlib
import errno
import glob
import hashlib
import os
import stat
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import IO, Any

from robust_det.core.errors import UserError

__all__ = [
    "expanded",
    "remove_leftovers",
    "require_regular",
    "sha256_file",
    "through_links",
    "write_atomically",
]


def expanded(value: Any) -> Any:
    """Return what a user gave with ``~/`` and ``~user/`` as the folders that they are.

    Args:
        value: a text, or lists and mappings of such; all else comes back as it is.

    Raises:
        UserError: nobody knows the folder.
    """
    if isinstance(value, str):
        if not value.startswith("~") or not ("/" in value or value == "~"):
            return value
        path = os.path.expanduser(value)
        if path.startswith("~"):
            raise UserError(f"no home folder is known for {value}; give the whole path")
        return path
    if isinstance(value, (list, tuple)):
        return type(value)(map(expanded, value))
    if type(value) is dict:
        return {key: expanded(each) for key, each in value.items()}
    return value


def require_regular(path: str | Path) -> None:
    """Refuse what is no file of a disk, such as a pipe, whose reading may never end.

    Raises:
        OSError: it is none, or is not there.
    """
    mode = os.stat(path).st_mode
    if not stat.S_ISREG(mode):
        kind = "a folder" if stat.S_ISDIR(mode) else "a pipe, a socket or a device"
        raise OSError(errno.EINVAL, f"is {kind}, not a file", str(path))


def write_atomically(
    path: str | Path, write: Callable[[IO[bytes]], Any], durable: bool = True
) -> None:
    """Write a file through a temporary one beside it: write, fsync, rename, fsync the folder.

    Args:
        path: the file to create or replace; its folder is created. A link stays, and what it points
            to is written.
        write: is called with the open binary file.
        durable: False leaves out both fsyncs, of many files that are made again at any time.

    Raises:
        UserError: the file system refuses (full disk, no permission). ``path`` is as before.
    """
    path = through_links(path)
    temporary = None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(
            dir=path.parent, prefix=f".{path.name}.", suffix=".tmp", delete=False
        ) as file:
            temporary = file.name
            guarded = _Guarded(file)
            try:
                write(guarded)  # type: ignore[arg-type]
            except Exception as error:
                # torch.save reports a failed write as a RuntimeError of its own
                raise guarded.failure or error from error
            file.flush()
            if durable:
                os.fsync(file.fileno())
        umask = os.umask(0)
        os.umask(umask)
        # what network and FUSE file systems refuse, though the content is safe
        with contextlib.suppress(OSError):
            os.chmod(temporary, 0o666 & ~umask)
        os.replace(temporary, path)
        if not durable:
            return
        with contextlib.suppress(OSError):
            folder = os.open(path.parent, os.O_RDONLY)
            try:
                os.fsync(folder)
            finally:
                os.close(folder)
    except OSError as error:
        kept = "; the previous file is kept" if path.exists() else ""
        reason = error.strerror or str(error)
        raise UserError(
            f"cannot write {path}: {reason}{kept}; free space or choose another folder"
        ) from error
    finally:
        if temporary is not None:
            with contextlib.suppress(OSError):
                os.unlink(temporary)


def remove_leftovers(path: str | Path) -> None:
    """Remove temporary files of ``path`` that a killed :func:`write_atomically` left behind.

    Only for a file that no other process is writing.
    """
    path = through_links(path)
    for left in path.parent.glob(f".{glob.escape(path.name)}.*.tmp"):
        with contextlib.suppress(OSError):
            left.unlink()


def through_links(path: str | Path) -> Path:
    """Return the file that would be written: what a link points to, be it there or not.

    A link in a circle points to nothing, and is replaced.

    Raises:
        UserError: a device or pipe, which a file would replace.
    """
    path = Path(path)
    real = Path(os.path.realpath(path)) if os.path.islink(path) else path
    if os.path.exists(real) and not (os.path.isfile(real) or os.path.isdir(real)):
        raise UserError(f"cannot write {path}: it is a device or a pipe; give a file")
    return real


def sha256_file(path: str | Path) -> str:
    """Return the SHA-256 of a file as 64 hexadecimal digits."""
    digest = hashlib.sha256()
    with open(path, "rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


class _Guarded:
    """A binary file that remembers the first OSError of a write."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        self.failure: OSError | None = None

    def write(self, data: Any) -> int:
        try:
            return self._file.write(data)
        except OSError as error:
            self.failure = self.failure or error
            raise

    def __getattr__(self, name: str) -> Any:
        return getattr(self._file, name)
