"""Lists of images to classify, whatever lists them, and what a loader makes of them.

Every random choice is a function of (seed, epoch, image), and of the copy where an image comes
several times, so the data of a run do not depend on the number of workers, and a resumed run sees
what the uninterrupted one would have seen.
"""

from __future__ import annotations

import contextlib
import copy
import dataclasses
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import numpy as np
import torch
from numpy.typing import NDArray
from torch.utils.data import Dataset

from robust_det.core.seeding import mixed_seed
from robust_det.data.classification.crops import Transform, Undecodable
from robust_det.data.classification.sources import ForeignContent, Source
from robust_det.data.classification.stores import FileStore

__all__ = ["Batch", "Corrupt", "ImageList", "Sample", "collate"]

# how many neighbours stand in for a corrupt training image before the data count as broken
_MAX_SUBSTITUTES = 32


@dataclass
class Batch:
    """A collated batch.

    Attributes:
        images: (N, 3, H, W) uint8.
        targets: (N,) int64 class indices.
        indices: (N,) int64 positions of the images in their split.
        corrupt: paths of files that could not be decoded, with the reason.
        hopeless: whether an image and all that could have stood in for it are corrupt.
        foreign: paths of files of another content than they should have.
    """

    images: torch.Tensor
    targets: torch.Tensor
    indices: torch.Tensor
    corrupt: list[str]
    hopeless: bool = False
    foreign: tuple[str, ...] = ()

    def pin_memory(self) -> Batch:
        """Called by the data loader for faster copies to a GPU."""
        images, targets = self.images.pin_memory(), self.targets.pin_memory()
        return dataclasses.replace(self, images=images, targets=targets)


@dataclass
class Corrupt:
    """Stands for an image that could not be decoded, nor any that could have replaced it; or for
    one of another content than it should have, which nothing replaces."""

    path: str
    hopeless: bool = False
    foreign: bool = False


# image, target, index in the split, and the path of the corrupt image that it replaces, or ""
Sample = tuple[torch.Tensor, int, int, str]


class ImageList(Dataset[Sample | Corrupt]):
    """Images of one split, indexed by ``(epoch, index)``, or by ``(epoch, index, copy)``.

    Args:
        store: where the images are, N.
        targets: (N,) class indices.
        classes: names of the classes.
        transform: from an image to (3, H, W), RGB, uint8.
        seed: seeds the augmentation together with the epoch, the image and the copy.
        substitute: return the next image in place of a corrupt one, so that batches keep their
            size; otherwise a :class:`Corrupt` comes back.
        notes: what was left out or may be a mistake, one sentence each.
    """

    def __init__(
        self,
        store: FileStore,
        targets: NDArray[np.int64],
        classes: list[str],
        transform: Transform,
        seed: int = 0,
        substitute: bool = False,
        notes: tuple[str, ...] = (),
    ) -> None:
        self.store = store
        self.transform = transform
        self.seed = seed
        self.substitute = substitute
        self.classes = classes
        self.targets = targets
        self.notes = notes

    def __len__(self) -> int:
        return len(self.targets)

    @property
    def folder(self) -> Path:
        """What the images' names are relative to."""
        return self.store.folder

    @property
    def names(self) -> NDArray[np.bytes_]:
        """The images' paths relative to the folder, (N,)."""
        return self.store.names

    def path(self, index: int) -> str:
        """Return the file of an image, as a message names it."""
        return self.store.path(index)

    def source(self, index: int) -> Source:
        """Return what the transform is given: the file, where it holds this image alone."""
        return self.store.source(index)

    def keep(self, chosen: NDArray[np.int64]) -> None:
        """Leave the images at these positions alone, in this order."""
        self.targets, self.store = self.targets[chosen], self.store.at(chosen)

    def part(self, chosen: NDArray[np.int64]) -> Self:
        """Return a list of the images at these positions, in this order."""
        other = copy.copy(self)
        other.keep(chosen)
        return other

    def __getitem__(self, key: tuple[int, ...]) -> Sample | Corrupt:
        epoch, index, *copy = key
        corrupt = ""
        for offset in range(_MAX_SUBSTITUTES if self.substitute else 1):
            i = (index + offset) % len(self)
            try:
                with _seeded(self.seed, epoch, i, *copy):
                    image = self.transform(self.source(i))
            except Undecodable as error:
                corrupt = corrupt or f"{self.path(i)} ({error})"
                continue
            except ForeignContent:
                return Corrupt(self.path(i), foreign=True)
            return image, int(self.targets[i]), i, corrupt
        return Corrupt(corrupt, hopeless=self.substitute)


def collate(samples: list[Sample | Corrupt]) -> Batch:
    """Stack samples into a :class:`Batch`; corrupt and foreign ones are left out and listed."""
    bad = [sample for sample in samples if isinstance(sample, Corrupt)]
    good = [sample for sample in samples if not isinstance(sample, Corrupt)]
    images = torch.stack([s[0] for s in good]) if good else torch.empty(0, 3, 1, 1).byte()
    return Batch(
        images,
        torch.tensor([s[1] for s in good], dtype=torch.long),
        torch.tensor([s[2] for s in good], dtype=torch.long),
        [sample.path for sample in bad if not sample.foreign] + [s[3] for s in good if s[3]],
        any(sample.hopeless for sample in bad),
        tuple(sample.path for sample in bad if sample.foreign),
    )


@contextlib.contextmanager
def _seeded(*key: int) -> Iterator[None]:
    """Seed torch's generator by a key, and put it back afterwards.

    ``fork_rng`` and ``manual_seed`` do the same; asking every kind of device for its generators
    takes them 0.15 ms, which is an eighth of what an image takes.
    """
    generator = torch.default_generator
    before = generator.get_state()
    generator.manual_seed(mixed_seed(*key))
    try:
        yield
    finally:
        generator.set_state(before)
