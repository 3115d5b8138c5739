"""Which images a data set is made of: told apart without reading all of a million files."""

from __future__ import annotations

import hashlib
import os
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from robust_det.data.classification.image_list import ImageList
from robust_det.data.classification.sources import Source, opened

__all__ = ["Contents", "contents_of", "in_both", "names_digest"]

# of each split so many files are looked into; each costs a look at the disk
_SAMPLE = 2048
_TAIL = 256
# above so many images nobody waits for the sizes of all
_MOST_COMPARED = 20_000


@dataclass(frozen=True)
class Contents:
    """What is in the files of a split, or of a sample of it, evenly spread.

    Attributes:
        where: (K,) which images, by their position in the split.
        prints: (K,) 64 bits of each file's size and last bytes; 0 of one that cannot be read.
    """

    where: NDArray[np.int64]
    prints: NDArray[np.uint64]

    def packed(self) -> str:
        """Return the prints as a checkpoint keeps them; where they are follows from the split."""
        return self.prints.astype("<u8").tobytes().hex()

    def compare(self, packed: str) -> tuple[list[int], list[int]]:
        """Compare with the :meth:`packed` contents of files of the same names.

        Returns:
            The positions of images whose content is another one, and of those among them that
            have what was in another file: they were exchanged.
        """
        old = np.frombuffer(bytes.fromhex(packed), "<u8")
        if len(old) != len(self.prints):
            return [], []
        changed = (old != self.prints) & (self.prints != 0)
        moved = changed & np.isin(self.prints, old)
        return self.where[changed].tolist(), self.where[moved].tolist()


def names_digest(data: ImageList) -> str:
    """Return a SHA-256 of classes and paths below the split's folder, wherever that is."""
    digest = hashlib.sha256("\n".join(data.classes).encode(errors="surrogateescape"))
    digest.update(data.names.tobytes())
    return digest.hexdigest()


def contents_of(data: ImageList) -> Contents:
    """Look into some files, or all if they are few."""
    where = _sample(len(data))
    prints = [_print(data.source(int(i))) for i in where]
    return Contents(where, np.array(prints, np.uint64))


def in_both(train: ImageList, val: ImageList) -> list[str]:
    """Return the validation images whose file is among the training images as well, under any name.

    Sets above 20,000 images are not looked through, and of the validation images 2,048 at most.
    """
    if len(train) + len(val) > _MOST_COMPARED:
        return []
    by_size: dict[int, list[int]] = {}
    for index in range(len(train)):
        by_size.setdefault(_size(train, index), []).append(index)
    hashes: dict[int, set[str]] = {}
    found = []
    for index in _sample(len(val)).tolist():
        size = _size(val, index)
        if size <= 0 or size not in by_size:
            continue
        if size not in hashes:
            hashes[size] = {_hash(train, other) for other in by_size[size]}
        if _hash(val, index) in hashes[size]:
            found.append(val.path(index))
    return found


def _sample(length: int) -> NDArray[np.int64]:
    count = min(_SAMPLE, length)
    return np.arange(count) * length // max(count, 1)


def _size(data: ImageList, index: int) -> int:
    try:
        return data.store.size(index)
    except OSError:
        return -1


def _print(source: Source) -> int:
    try:
        with opened(source) as file:
            size = file.seek(0, os.SEEK_END)
            file.seek(max(size - _TAIL, 0))
            end = file.read()
    except OSError:
        return 0
    return int.from_bytes(hashlib.sha256(b"%d " % size + end).digest()[:8], "little") if size else 0


def _hash(data: ImageList, index: int) -> str:
    try:
        with opened(data.source(index)) as file:
            return hashlib.sha256(file.read()).hexdigest()
    except OSError:
        return data.path(index)
