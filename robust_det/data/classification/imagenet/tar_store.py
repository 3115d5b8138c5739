"""Images within a tar, each read from where it is."""

from __future__ import annotations

import io
import os
import weakref
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from robust_det.data.classification.imagenet.tar_index import TarIndex
from robust_det.data.classification.sources import Source
from robust_det.data.classification.stores import FileStore

__all__ = ["TarStore"]


class TarStore(FileStore):
    """Images within a tar; of those that are asked for alone, the bytes are read.

    Reads give the position that they are at, so that processes which were forked, and share the
    open file, are not in each other's way; one that was spawned opens its own.

    Args:
        tar: the file.
        names: of the images, N.
        index: (N,) where they are in it.
    """

    def __init__(self, tar: Path, names: NDArray[np.bytes_], index: TarIndex) -> None:
        super().__init__(tar, names)
        self._offsets, self._sizes = index.offsets, index.sizes
        self._file = _File(tar)

    def at(self, chosen: NDArray[np.int64]) -> TarStore:
        """Return the images at these positions, in this order."""
        other = super().at(chosen)
        assert isinstance(other, TarStore)
        other._offsets, other._sizes = self._offsets[chosen], self._sizes[chosen]
        return other

    def source(self, index: int) -> Source:
        """Return an image's content."""
        return io.BytesIO(self._file.read(int(self._offsets[index]), self.size(index)))

    def size(self, index: int) -> int:
        """Return how many bytes an image has."""
        return int(self._sizes[index])


class _File:
    """An open file, closed when nobody needs it any more, and opened anew where it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._number = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        weakref.finalize(self, os.close, self._number)
        self._known = self._state()

    def read(self, offset: int, size: int) -> bytes:
        return os.pread(self._number, size, offset)

    def _state(self) -> tuple[int, int]:
        status = os.fstat(self._number)
        return status.st_size, status.st_mtime_ns

    def __getstate__(self) -> dict[str, Any]:
        return {"path": self.path, "_known": self._known}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__init__(state["path"])  # type: ignore[misc]
        if self._known != state["_known"]:
            raise OSError(f"{self.path} was changed while it is in use")
