"""The images of one split as they lie on a disk, before anything is made of them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from robust_det.data.classification.stores import FileStore

__all__ = ["Found"]


@dataclass(frozen=True)
class Found:
    """A split that was found.

    Attributes:
        store: where its images are, N: by class, and by their names within one.
        targets: (N,) class indices.
        classes: names of the classes, sorted.
        notes: what was left out or may be a mistake, one sentence each.
    """

    store: FileStore
    targets: NDArray[np.int64]
    classes: list[str]
    notes: tuple[str, ...] = ()
