"""The index of a tar, made once, and kept in the cache folder while the tar stays as it is."""

from __future__ import annotations

import contextlib
import hashlib
import logging
import os
import zipfile
from pathlib import Path

import numpy as np

from robust_det.core.errors import FileError, UserError
from robust_det.core.files import write_atomically
from robust_det.core.folders import cache_folder
from robust_det.core.locks import in_turn
from robust_det.core.progress import progress_bar
from robust_det.data.classification.imagenet.tar_index import TarIndex, index_tar

__all__ = ["kept_index"]

logger = logging.getLogger(__name__)

# another one when the same tar gives another index
_FORMAT = 1
_Stamp = tuple[int, int, int]  # that, and the tar's size and time of change


def kept_index(path: Path) -> TarIndex:
    """Return the index of a tar; it is made if none is kept, or if the tar was changed since.

    Of several processes one makes it, and the others wait. Where the cache folder cannot be
    written, a warning says so, and it is made anew each time.

    Raises:
        FileError: see :func:`.index_tar`; or it is being written meanwhile.
        OSError: it is not there, or cannot be read.
    """
    stamp = _stamp(path)
    key = hashlib.sha256(os.fsencode(os.path.realpath(path))).hexdigest()
    kept = cache_folder() / "tars" / f"{path.stem}-{key[:16]}.npz"
    if found := _read(kept, stamp):
        return found
    with contextlib.ExitStack() as stack:
        with contextlib.suppress(OSError):  # told when it is written
            stack.enter_context(in_turn(kept, f"listing {path}"))
        if found := _read(kept, stamp):
            return found
        found = _made(path, stamp)
        values = {
            "stamp": np.array(stamp),
            "names": found.names,
            "offsets": found.offsets,
            "sizes": found.sizes,
        }
        try:
            write_atomically(kept, lambda file: np.savez(file, allow_pickle=False, **values))
        except UserError as error:
            logger.warning(f"{error}; until then {path} is listed anew each time")
        return found


def _made(path: Path, stamp: _Stamp) -> TarIndex:
    logger.info(f"listing what is in {path}, once")
    with progress_bar(stamp[1], path.name, "B") as bar:
        found = index_tar(path, lambda position: bar.update(position - bar.n))
    if _stamp(path) != stamp:
        raise FileError("is still being written", "wait until it is whole", str(path))
    return found


def _stamp(path: Path) -> _Stamp:
    status = path.stat()
    return _FORMAT, status.st_size, status.st_mtime_ns


def _read(kept: Path, stamp: _Stamp) -> TarIndex | None:
    """Return what is kept; None if there is nothing, or it is of another tar, or damaged."""
    try:
        with open(kept, "rb") as content, np.load(content, allow_pickle=False) as file:
            if file["stamp"].tolist() != list(stamp):
                return None
            return TarIndex(file["names"], file["offsets"], file["sizes"])
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile):
        return None
