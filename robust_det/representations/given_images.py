"""The images that networks are asked on: each content once, as all of them see it."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from robust_det.core.errors import counted
from robust_det.core.files import sha256_file
from robust_det.data.classification.crops import eval_transform
from robust_det.data.classification.image_list import ImageList
from robust_det.data.classification.stores import FileStore
from robust_det.data.transfer.manifest import Entry
from robust_det.transfer.features.cache import images_digest
from robust_det.visualization.images import check_sides
from robust_det.visualization.networks import ShownBackbone, common_size

__all__ = ["GivenImages", "given_images"]


@dataclass(frozen=True)
class GivenImages:
    """Images in their order.

    Attributes:
        paths, sha256: the files, and the hash of each, no two the same.
        size: side in pixels of what networks see: the short side is resized to it, and the middle
            cut out.
    """

    paths: tuple[Path, ...]
    sha256: tuple[str, ...]
    size: int

    def __len__(self) -> int:
        return len(self.paths)

    @property
    def digest(self) -> str:
        """64 hexadecimal digits that stand for the contents and their order."""
        return images_digest((Entry("", "", each) for each in self.sha256), ())

    def listed(self) -> ImageList:
        """Return them as a loader takes them."""
        names = [os.fsencode(path.absolute()) for path in self.paths]
        none = np.zeros(len(names), np.int64)
        transform = eval_transform(self.size, self.size)
        return ImageList(FileStore(Path("/"), names), none, [""], transform)


def given_images(
    paths: Sequence[Path], backbones: Sequence[ShownBackbone], size: int | None
) -> tuple[GivenImages, list[str]]:
    """Return images as all networks see them, and what to say of them.

    Args:
        paths: of the files.
        backbones: the networks.
        size: in pixels; the largest of the networks' own if None.

    Raises:
        UserError: an image is none, or smaller than a network's stride, or a network takes none of
            that size.
    """
    chosen, notes = common_size(backbones, size)
    notes += check_sides(paths, chosen, max(each.stride for each in backbones))
    contents: dict[str, Path] = {}
    for path in paths:
        contents.setdefault(sha256_file(path), path)
    copies = len(paths) - len(contents)
    if copies:
        notes.append(
            f"{counted(copies, 'image')} left out, having the content of another: all have to be"
            " draws of their own."
        )
    return GivenImages(tuple(contents.values()), tuple(contents), chosen), notes
