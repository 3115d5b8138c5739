"""From an image file to a square of pixels: random crops to train on, central ones to validate."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import IO

import torch
from PIL import Image
from torchvision.transforms import v2
from torchvision.transforms.v2 import functional as F

from robust_det.core.errors import FileError
from robust_det.data.classification.further import Step
from robust_det.data.classification.jitter import jitter_colours
from robust_det.data.classification.jpeg import JPEG_START, Box, colour_jpeg_shape, crop_jpeg
from robust_det.data.classification.sources import Source, opened
from robust_det.data.images import open_image

__all__ = ["Transform", "Undecodable", "eval_transform", "random_box", "train_transform"]

# an image to (3, size, size) RGB, uint8; it raises Undecodable
Transform = Callable[[Source], torch.Tensor]
_RATIO = (3 / 4, 4 / 3)  # of width to height, as RandomResizedCrop has it
_LOG_RATIO = torch.tensor(_RATIO).log().tolist()


class Undecodable(Exception):
    """A file cannot be read or is not a whole image; the text says what its decoder says."""


def train_transform(
    size: int,
    scale: tuple[float, float],
    flip: bool,
    jitter: float,
    *,
    exact: bool,
    downscale: int = 0,
    further: Sequence[Step] = (),
) -> Transform:
    """Standard ImageNet augmentation: random resized crop, flip, optional colour jitter.

    What is random is drawn from torch's generator, in either way the same.

    Args:
        size: side of the square crop in pixels.
        scale: range of the crop's area relative to the image's.
        flip: flip half of the images horizontally.
        jitter: strength of brightness, contrast and saturation jitter; 0 is none.
        exact: compute Pillow's bits. Otherwise a colour JPEG is decoded no finer than its crop
            needs, see :func:`crop_jpeg`, and jitter is rounded once.
        downscale: first make the short side so many pixels, as the experiment on granularity of
            Salman et al. 2020 does; 0 does not. Pillow's bits, whatever ``exact`` says.
        further: what follows, on tensors, in either way the same.
    """
    crop: Transform = _FastCrop(size, scale, flip, jitter)
    if exact or downscale:
        crop = _ExactCrop(size, scale, flip, jitter, downscale)
    return _Further(crop, tuple(further)) if further else crop


def eval_transform(resize: int, size: int, downscale: int = 0) -> Transform:
    """Resize the short side to ``resize`` and cut the central square of ``size`` pixels.

    Args:
        resize, size: in pixels.
        downscale: first make the short side so many pixels; 0 does not.
    """
    return _CentralCrop(resize, size, downscale)


def random_box(height: int, width: int, scale: tuple[float, float]) -> Box:
    """Draw the crop that ``RandomResizedCrop`` would draw from torch's generator.

    torchvision's own method makes more tensors of a single number: with it, an image would take
    one twentieth longer from its file to the batch.

    Args:
        height, width: of the image in pixels.
        scale: range of the crop's area relative to the image's.
    """
    for _ in range(10):
        area = height * width * torch.empty(1).uniform_(*scale).item()
        ratio = torch.empty(1).uniform_(*_LOG_RATIO).exp_().item()
        w, h = round(math.sqrt(area * ratio)), round(math.sqrt(area / ratio))
        if 0 < w <= width and 0 < h <= height:
            top = int(torch.randint(height - h + 1, (1,)))
            return top, int(torch.randint(width - w + 1, (1,))), h, w
    # no such crop was found: the largest central one
    w = min(width, round(height * _RATIO[1]))
    h = min(height, round(width / _RATIO[0]))
    return (height - h) // 2, (width - w) // 2, h, w


# classes, not closures: workers that are spawned get them pickled
@dataclass
class _ExactCrop:
    size: int
    scale: tuple[float, float]
    flip: bool
    jitter: float
    downscale: int = 0

    def __post_init__(self) -> None:
        steps = [v2.RandomResizedCrop(self.size, scale=self.scale, antialias=True)]
        if self.flip:
            steps.append(v2.RandomHorizontalFlip())
        if self.jitter > 0:
            steps.append(v2.ColorJitter(self.jitter, self.jitter, self.jitter))
        self._steps = v2.Compose([*steps, v2.PILToTensor()])

    def __call__(self, source: Source) -> torch.Tensor:
        pixels: torch.Tensor = self._steps(_shrunk(_read_rgb(source), self.downscale))
        return pixels


@dataclass
class _FastCrop:
    size: int
    scale: tuple[float, float]
    flip: bool
    jitter: float

    def __call__(self, source: Source) -> torch.Tensor:
        pixels = self._crop(source)
        if self.flip and torch.rand(1) < 0.5:
            pixels = pixels.flip(-1)
        return jitter_colours(pixels, self.jitter) if self.jitter > 0 else pixels

    def _crop(self, source: Source) -> torch.Tensor:
        content = _read_jpeg(source)
        shape = colour_jpeg_shape(content)
        if shape is None:
            image = _read_rgb(source)
            box = random_box(image.height, image.width, self.scale)
        else:
            box = random_box(*shape, self.scale)
            pixels = crop_jpeg(content, shape, box, self.size)
            if pixels is not None:
                return pixels
            image = _read_rgb(source)  # Pillow decides whether there is damage, as for all others
        pixels = F.pil_to_tensor(F.resized_crop(image, *box, [self.size] * 2, antialias=True))
        return pixels


@dataclass
class _Further:
    crop: Transform
    steps: tuple[Step, ...]

    def __call__(self, source: Source) -> torch.Tensor:
        pixels = self.crop(source)
        for step in self.steps:
            pixels = step(pixels)
        return pixels


@dataclass
class _CentralCrop:
    resize: int
    size: int
    downscale: int = 0

    def __call__(self, source: Source) -> torch.Tensor:
        image = _resized(_shrunk(_read_rgb(source), self.downscale), self.resize)
        pixels: torch.Tensor = F.pil_to_tensor(F.center_crop(image, [self.size, self.size]))
        return pixels


def _shrunk(image: Image.Image, side: int) -> Image.Image:
    """Return an image with that short side; as it is if that is 0."""
    return _resized(image, side) if side else image


def _resized(image: Image.Image, side: int) -> Image.Image:
    if min(image.size) == side:
        return image
    resized: Image.Image = F.resize(image, [side], antialias=True)
    return resized


def _read_rgb(source: Source) -> Image.Image:
    try:
        # not turned, as by torchvision's own loader
        return open_image(source, upright=False).convert("RGB")
    except FileError as error:
        raise Undecodable(f"it {error.reason}") from error
    except OSError as error:
        raise Undecodable(f"{type(error).__name__}: {error}") from error


def _read_jpeg(source: Source) -> bytes:
    """Read a file if it begins as a JPEG does; its content is empty otherwise."""
    try:
        with opened(source) as file:
            return _jpeg_of(file)
    except OSError as error:
        raise Undecodable(f"{type(error).__name__}: {error}") from error


def _jpeg_of(file: IO[bytes]) -> bytes:
    start = file.read(len(JPEG_START))
    file.seek(0)
    return file.read() if start == JPEG_START else b""
