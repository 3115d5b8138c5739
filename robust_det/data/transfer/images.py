"""The images of a manifest, as training and validation take them."""

from __future__ import annotations

import io
import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from robust_det.core.errors import FileError
from robust_det.data.classification.crops import Transform
from robust_det.data.classification.image_list import ImageList
from robust_det.data.classification.sources import Source
from robust_det.data.classification.stores import FileStore
from robust_det.data.transfer.manifest import Entry, Manifest
from robust_det.data.transfer.sets.cifar import is_packed, packed_pixels
from robust_det.data.transfer.verify import file_of

__all__ = ["ManifestImages"]


class ManifestImages(ImageList):
    """Images of a manifest, indexed by ``(epoch, index)``.

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
            _SetStore(base, [os.fsencode(entry.path) for entry in entries]),
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
    def source(self, index: int) -> Source:
        """Return an image's file; of one of many in a file, its content as a portable pixmap."""
        path = os.fsdecode(self.names[index])
        if not is_packed(path):
            return self.path(index)
        pixels = packed_pixels(self.folder, path)
        height, width, _ = pixels.shape
        return io.BytesIO(b"P6 %d %d 255\n" % (width, height) + pixels.tobytes())
