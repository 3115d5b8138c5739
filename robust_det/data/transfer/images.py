"""The images of a manifest, as training and validation take them."""

from __future__ import annotations

import copy
import hashlib
import io
import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from robust_det.core.errors import FileError
from robust_det.data.classification.crops import Transform, Undecodable
from robust_det.data.classification.image_list import ImageList
from robust_det.data.classification.sources import ForeignContent, Source, opened
from robust_det.data.classification.stores import FileStore
from robust_det.data.transfer.manifest import Entry, Manifest
from robust_det.data.transfer.sets.cifar import is_packed, packed_pixels
from robust_det.data.transfer.verify import file_of

__all__ = ["ManifestImages"]


class ManifestImages(ImageList):
    """Images of a manifest, indexed by ``(epoch, index)``.

    Each is compared with its digest whenever it is read: features are kept, and records cited, by
    the manifest's digests, whatever lies in the folder.

    Args:
        manifest: of the set.
        entries: some of its images, such as ``manifest.training``.
        base: the folder that its paths are relative to, see :func:`.verify.base_below`.
        transform, seed, substitute: see :class:`ImageList`.

    Raises:
        FileError: an image is not there; says how many are not.
    """

    def __init__(
        self,
        manifest: Manifest,
        entries: Sequence[Entry],
        base: Path,
        transform: Transform,
        seed: int = 0,
        substitute: bool = False,
    ) -> None:
        index = {name: i for i, name in enumerate(manifest.classes)}
        super().__init__(
            _SetStore(base, entries),
            np.array([index[entry.label] for entry in entries], dtype=np.int64),
            list(manifest.classes),
            transform,
            seed,
            substitute,
            manifest.notes,
        )
        lost = [entry.path for entry in entries if not file_of(base, entry.path).exists()]
        if lost:
            raise FileError(
                f"lacks {len(lost):,} of the manifest's {len(entries):,} images, such as {lost[0]}",
                "give the folder that the manifest was made of, or make it again",
                str(base),
            )


class _SetStore(FileStore):
    def __init__(self, folder: Path, entries: Sequence[Entry]) -> None:
        super().__init__(folder, [os.fsencode(entry.path) for entry in entries])
        digests = b"".join(bytes.fromhex(entry.sha256) for entry in entries)
        self._digests = np.frombuffer(digests, np.uint8).reshape(-1, hashlib.sha256().digest_size)

    def at(self, chosen: NDArray[np.int64]) -> _SetStore:
        """Return the images at these positions, in this order."""
        other = copy.copy(self)
        other.names, other._digests = self.names[chosen], self._digests[chosen]
        return other

    def source(self, index: int) -> Source:
        """Return an image's content; of one of many in a file, as a portable pixmap.

        Raises:
            Undecodable: it cannot be read.
            ForeignContent: it is not that of the manifest.
        """
        path = os.fsdecode(self.names[index])
        if not is_packed(path):
            content = _content(self.path(index))
            self._compare(index, content)
            return io.BytesIO(content)
        pixels = packed_pixels(self.folder, path)
        self._compare(index, pixels.tobytes())
        height, width, _ = pixels.shape
        return io.BytesIO(b"P6 %d %d 255\n" % (width, height) + pixels.tobytes())

    def _compare(self, index: int, content: bytes) -> None:
        if hashlib.sha256(content).digest() != self._digests[index].tobytes():
            raise ForeignContent


def _content(path: str) -> bytes:
    try:
        with opened(path) as file:
            return file.read()
    except OSError as error:
        raise Undecodable(f"{type(error).__name__}: {error}") from error
