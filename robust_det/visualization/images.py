"""The images that are shown: which files, and what networks see of them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from robust_det.core.errors import FileError, UserError, counted
from robust_det.core.files import require_regular
from robust_det.data.classification.crops import Undecodable, eval_transform
from robust_det.data.images import whole_image
from robust_det.detection.prediction.inputs import find_inputs
from robust_det.detection.prediction.sources import Images

__all__ = ["check_sides", "drawn_images", "find_images", "read_square", "read_squares", "sides_of"]


def find_images(given: Sequence[str]) -> list[Path]:
    """Return the images that files, folders and globs mean, each once, in their order.

    Those below the working folder are named from there: a record of them is the same elsewhere.

    Raises:
        UserError: one of them is no image and has none in it, or is a video.
    """
    found: dict[Path, None] = {}
    for text in given:
        source = find_inputs(text)
        if not isinstance(source, Images):
            raise UserError(f"{text} is a video; give images, such as some of its frames")
        found |= dict.fromkeys(_from_here(source.place) / name for name in source.names)
    return list(found)


def _from_here(place: Path) -> Path:
    here = Path.cwd()
    return place.relative_to(here) if place.is_relative_to(here) else place


def drawn_images(paths: Sequence[Path], most: int, seed: int) -> tuple[list[Path], list[str]]:
    """Return so many of the images, by a draw, in their order; and what to say of it.

    Args:
        paths: all of them.
        most: how many to take; all if there are no more.
        seed: of the draw.
    """
    if len(paths) <= most:
        return list(paths), []
    chosen = sorted(np.random.default_rng(seed).permutation(len(paths))[:most].tolist())
    note = f"{most:,} of {len(paths):,} images were drawn, by seed {seed}; --draw takes more."
    return [paths[index] for index in chosen], [note]


def sides_of(path: Path) -> tuple[int, int]:
    """Return width and height of an image in pixels, as its file says before it is decoded.

    Raises:
        UserError: it is none, or cannot be read.
    """
    try:
        require_regular(path)
        with whole_image(path), Image.open(path) as image:
            return int(image.width), int(image.height)
    except FileError as error:
        raise UserError(f"image {path} {error.reason}") from error
    except OSError as error:
        raise UserError(f"image {path} cannot be read: {error.strerror or error}") from error


def read_square(path: Path, size: int) -> torch.Tensor:
    """Return an image (3, size, size) in [0, 1]: its short side resized, its middle cut out.

    Raises:
        UserError: it cannot be read.
    """
    try:
        return eval_transform(size, size)(str(path)).float().div_(255)
    except Undecodable as error:
        raise UserError(f"image {path} cannot be read: {error}") from error


def read_squares(paths: Sequence[Path], size: int, stride: int) -> tuple[torch.Tensor, list[str]]:
    """Return images (N, 3, size, size) in [0, 1], and what to say of them.

    Args:
        paths: at least one.
        size: in pixels.
        stride: of the deepest features that are looked at, in pixels.

    Raises:
        UserError: an image cannot be read, or is smaller than the stride.
    """
    notes = check_sides(paths, size, stride)
    return torch.stack([read_square(path, size) for path in paths]), notes


def check_sides(paths: Sequence[Path], size: int, stride: int) -> list[str]:
    """Return what to say of images that are enlarged; see :func:`read_squares`.

    Raises:
        UserError: an image is none, or is smaller than the stride.
    """
    enlarged = []
    for path in paths:
        width, height = sides_of(path)
        if min(width, height) < stride:
            raise UserError(
                f"image {path} has {width} x {height} pixels, and its features have a stride of"
                f" {stride}: not one of them would be its own; leave it out"
            )
        if min(width, height) < size:
            enlarged.append(path)
    notes = []
    if enlarged:
        notes.append(
            f"{counted(len(enlarged), 'image')}, such as {enlarged[0].name}, had a shorter side"
            f" below {size} pixels and {'was' if len(enlarged) == 1 else 'were'} enlarged."
        )
    return notes
