"""Validation images split off the training images: a stratified, seeded part of them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from robust_det.core.errors import UserError, counted
from robust_det.data.classification.identity import names_digest
from robust_det.data.classification.image_list import ImageList
from robust_det.data.draws import drawn, kept

__all__ = ["HeldOut", "hold_out"]

_DRAW = 4  # sets it apart from other draws of the seed


@dataclass(frozen=True)
class HeldOut:
    """What was split off.

    Attributes:
        fraction: of each class's images, rounded.
        seed: of the draw.
        of: how many images there were.
        sha256: of the classes and names of what was split off, see :func:`.names_digest`.
    """

    fraction: float
    seed: int
    of: int
    sha256: str

    def words(self, data: ImageList) -> str:
        """Say which images these are."""
        return (
            f"validation images: {len(data):,} of the {self.of:,} of {data.folder}, split off by"
            f" fraction {self.fraction:g} and seed {self.seed}"
        )


def hold_out(data: ImageList, fraction: float, seed: int) -> tuple[ImageList, ImageList, HeldOut]:
    """Split images into those to train on and those to validate on.

    Which, is a function of the seed and the names: not of what is in the files, nor where they lie.
    Each class has one image at least on either side.

    Args:
        data: the images; left as they are.
        fraction: of each class's images to hold out, above 0 and below 1.
        seed: of the draw.

    Returns:
        The images to train on, those held out, and what is to be recorded of it.

    Raises:
        UserError: a class has one image alone.
    """
    sizes = np.bincount(data.targets, minlength=len(data.classes))
    if (lone := np.flatnonzero(sizes < 2)).size:
        raise UserError(
            f"{counted(len(lone), 'class', 'es')} of {data.folder} with one image, such as"
            f" {data.classes[lone[0]]}, cannot be split into training and validation",
            "add images, or leave the class out",
        )
    trained = np.zeros(len(data), dtype=bool)
    for number, size in enumerate(sizes.tolist()):
        chosen = drawn(size, kept(size, fraction), seed, _DRAW, number)
        trained[np.flatnonzero(data.targets == number)[chosen]] = True
    train, val = data.part(np.flatnonzero(trained)), data.part(np.flatnonzero(~trained))
    return train, val, HeldOut(fraction, seed, len(data), names_digest(val))
