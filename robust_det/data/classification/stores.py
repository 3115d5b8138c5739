"""Where the images of a list are, and how their content is had."""

from __future__ import annotations

import copy
import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from robust_det.data.classification.sources import Source

__all__ = ["FileStore"]


class FileStore:
    """Images in files of their own, below a folder; other stores are derived from it.

    Args:
        folder: that the names are relative to; of images within one file, that file.
        names: of the images, N; with slashes.
    """

    def __init__(self, folder: Path, names: Sequence[bytes] | NDArray[np.bytes_]) -> None:
        self.folder = folder
        # an array, not a list: forked workers share it, where they would copy a million objects
        self.names = np.array(names, dtype=np.bytes_)

    def __len__(self) -> int:
        return len(self.names)

    def at(self, chosen: NDArray[np.int64]) -> FileStore:
        """Return the images at these positions, in this order."""
        other = copy.copy(self)
        other.names = self.names[chosen]
        return other

    def path(self, index: int) -> str:
        """Return an image's file, as a message names it."""
        return os.path.join(self.folder, os.fsdecode(self.names[index]))

    def source(self, index: int) -> Source:
        """Return what an image is decoded from."""
        return self.path(index)

    def size(self, index: int) -> int:
        """Return how many bytes an image has.

        Raises:
            OSError: it is not there.
        """
        return os.stat(self.path(index)).st_size
