"""The files that a command is told to write: what is there is replaced if that is asked for, and by
one process at a time."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterable, Iterator
from pathlib import Path

from robust_det.core.errors import UserError
from robust_det.core.files import through_links
from robust_det.core.locks import sole_writer

__all__ = ["new_file", "require_new"]


def require_new(
    paths: Iterable[Path], overwrite: bool = False, inputs: Iterable[str | Path] = ()
) -> None:
    """Refuse to replace what is there.

    Args:
        paths: of the files to write.
        overwrite: whether ``--overwrite`` was given.
        inputs: files that are read, which nothing replaces.

    Raises:
        UserError: one of them exists, is read, or is a folder.
    """
    read = {os.path.realpath(each) for each in inputs}
    for path in paths:
        if os.path.realpath(path) in read:
            raise UserError(f"{path} is read, and would be replaced; give another file to write")
        if path.is_dir():
            raise UserError(f"{path} is a folder; give a file to write")
        if os.path.lexists(path) and not overwrite:
            raise UserError(f"{path} exists; --overwrite replaces it, or name another output")


@contextlib.contextmanager
def new_file(
    path: Path,
    overwrite: bool = False,
    *,
    beside: Iterable[Path] = (),
    inputs: Iterable[str | Path] = (),
) -> Iterator[None]:
    """Hold the lock of a file that is to be written.

    Args:
        path: of the file; its folder is made.
        overwrite, inputs: see :func:`require_new`.
        beside: files that are written with it.

    Raises:
        UserError: see :func:`require_new` and :class:`~robust_det.core.locks.FolderLock`.
    """
    target = through_links(path)
    with sole_writer(target.parent, target.name):
        require_new((path, *beside), overwrite, inputs)
        yield
