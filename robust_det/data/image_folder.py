"""ImageFolder trees for classification: ``ROOT/train/<class>/*`` and ``ROOT/val/<class>/*``.

Every random choice is a function of (seed, epoch, image), so the data of a run do not depend on
the number of workers, and a resumed run sees what the uninterrupted one would have seen.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch.utils.data import Dataset
from torchvision.datasets.folder import IMG_EXTENSIONS
from torchvision.transforms import v2
from torchvision.transforms.v2 import functional as F

from robust_det.errors import UserError

__all__ = ["Batch", "Corrupt", "ImageFolder", "collate", "eval_transform", "train_transform"]

Transform = Callable[[Image.Image], torch.Tensor]
# how many neighbours stand in for a corrupt training image before the data count as broken
_MAX_SUBSTITUTES = 32


@dataclass
class Batch:
    """A collated batch.

    Attributes:
        images: (N, 3, H, W) uint8.
        targets: (N,) int64 class indices.
        corrupt: paths of files that could not be decoded, with the reason.
    """

    images: torch.Tensor
    targets: torch.Tensor
    corrupt: list[str]

    def pin_memory(self) -> Batch:
        """Called by the data loader for faster copies to a GPU."""
        return Batch(self.images.pin_memory(), self.targets.pin_memory(), self.corrupt)


@dataclass
class Corrupt:
    """Stands for an image that could not be decoded."""

    path: str


Sample = tuple[torch.Tensor, int, list[str]]


class ImageFolder(Dataset[Sample | Corrupt]):
    """Images of one split, indexed by ``(epoch, index)``.

    Args:
        root: folder that holds the split folders.
        split: ``"train"`` or ``"val"``.
        transform: PIL RGB image to (3, H, W) uint8 tensor.
        seed: seeds the augmentation together with the epoch and the image.
        substitute: return the next image in place of a corrupt one, so that batches keep their
            size; otherwise a :class:`Corrupt` comes back.
        classes: the class folders expected; by default those found.

    Raises:
        UserError: a folder is missing or empty, or a class folder has no images.
    """

    def __init__(
        self,
        root: str | Path,
        split: str,
        transform: Transform,
        seed: int = 0,
        substitute: bool = False,
        classes: list[str] | None = None,
    ) -> None:
        self.folder = Path(root).expanduser() / split
        self.transform = transform
        self.seed = seed
        self.substitute = substitute
        self.classes = _class_folders(self.folder)
        if classes is not None and classes != self.classes:
            odd = sorted(set(classes) ^ set(self.classes))
            raise UserError(f"{self.folder} and the training split differ in classes: {odd[:5]}")
        self.samples = [
            (path, target)
            for target, name in enumerate(self.classes)
            for path in _images(self.folder / name)
        ]

    def __len__(self) -> int:
        return len(self.samples)

    def __getitem__(self, key: tuple[int, int]) -> Sample | Corrupt:
        epoch, index = key
        skipped: list[str] = []
        for offset in range(_MAX_SUBSTITUTES if self.substitute else 1):
            i = (index + offset) % len(self.samples)
            path, target = self.samples[i]
            try:
                with Image.open(path) as file:
                    image = file.convert("RGB")
            except Exception as error:  # Pillow raises whatever the decoder raises
                skipped.append(f"{path} ({type(error).__name__}: {error})")
                continue
            seed = np.random.SeedSequence([self.seed, epoch, i]).generate_state(1)[0]
            with torch.random.fork_rng(devices=[]):
                torch.manual_seed(int(seed))
                return self.transform(image), target, skipped
        return Corrupt(skipped[0])


def collate(samples: list[Sample | Corrupt]) -> Batch:
    """Stack samples into a :class:`Batch`; corrupt ones are left out and listed."""
    corrupt: list[str] = []
    good: list[tuple[torch.Tensor, int]] = []
    for sample in samples:
        if isinstance(sample, Corrupt):
            corrupt.append(sample.path)
        else:
            good.append(sample[:2])
            corrupt.extend(sample[2])
    images = torch.stack([image for image, _ in good]) if good else torch.empty(0, 3, 1, 1).byte()
    return Batch(images, torch.tensor([t for _, t in good], dtype=torch.long), corrupt)


def train_transform(size: int, scale: tuple[float, float], flip: bool, jitter: float) -> Transform:
    """Standard ImageNet augmentation: random resized crop, flip, optional colour jitter.

    Args:
        size: side of the square crop in pixels.
        scale: range of the crop's area relative to the image's.
        flip: flip half of the images horizontally.
        jitter: strength of brightness, contrast and saturation jitter; 0 is none.
    """
    steps: list[torch.nn.Module] = [v2.RandomResizedCrop(size, scale=scale, antialias=True)]
    if flip:
        steps.append(v2.RandomHorizontalFlip())
    if jitter > 0:
        steps.append(v2.ColorJitter(jitter, jitter, jitter))
    return v2.Compose([*steps, v2.PILToTensor()])


def eval_transform(resize: int, size: int) -> Transform:
    """Resize the short side to ``resize`` and cut the central square of ``size`` pixels."""

    def transform(image: Image.Image) -> torch.Tensor:
        if min(image.size) != resize:
            image = F.resize(image, [resize], antialias=True)
        return F.pil_to_tensor(F.center_crop(image, [size, size]))

    return transform


def _class_folders(folder: Path) -> list[str]:
    if not folder.is_dir():
        raise UserError(
            f"no folder {folder}; DATA.ROOT needs train/<class>/<images> and val/<class>/<images>"
        )
    names = sorted(entry.name for entry in folder.iterdir() if entry.is_dir())
    if not names:
        raise UserError(f"{folder} holds no class folders; images belong into {folder}/<class>/")
    return names


def _images(folder: Path) -> list[str]:
    paths = sorted(
        str(path)
        for path in folder.rglob("*")
        if path.suffix.lower() in IMG_EXTENSIONS and path.is_file()
    )
    if not paths:
        raise UserError(f"class folder {folder} holds no images; add some or remove the folder")
    return paths
