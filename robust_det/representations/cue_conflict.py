"""Images of one category's shape and another's texture, by the names of their files."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from robust_det.core.errors import UserError, counted, did_you_mean
from robust_det.representations.categories import CATEGORIES
from robust_det.visualization.images import find_images

__all__ = ["CueConflict", "conflicts_among", "read_cue_conflicts"]

_NAME = re.compile(r"(?:.*_)?([a-z]+)\d+-([a-z]+)\d+", re.IGNORECASE)


@dataclass(frozen=True)
class CueConflict:
    """An image.

    Attributes:
        path: of its file.
        shape, texture: categories.
    """

    path: Path
    shape: str
    texture: str


def read_cue_conflicts(folder: str) -> list[CueConflict]:
    """Return the images of a folder, such as ``cat/cat7-elephant1.png``.

    Args:
        folder: with one for each category of shape.

    Raises:
        UserError: there is no image, or one whose name says no shape and texture, or another shape
            than its folder.
    """
    if not Path(folder).is_dir():
        raise UserError(f"{folder} is no folder; give one with a folder for each category of shape")
    return [_read(path) for path in find_images([folder])]


def _read(path: Path) -> CueConflict:
    found = _NAME.fullmatch(path.stem)
    if found is None:
        raise UserError(
            f"the name of {path} says no shape and texture: it has to be as cat7-elephant1.png, the"
            " shape first"
        )
    shape, texture = found[1].lower(), found[2].lower()
    for name in (shape, texture):
        if name not in CATEGORIES:
            hint = did_you_mean(name, CATEGORIES) or f" (known: {', '.join(CATEGORIES)})"
            raise UserError(f"the name of {path} says '{name}', which is no category{hint}")
    if path.parent.name.lower() != shape:
        raise UserError(
            f"{path} has the shape of a {shape} by its name, and lies in the folder"
            f" {path.parent.name}; put it in one named {shape}"
        )
    return CueConflict(path, shape, texture)


def conflicts_among(
    images: Sequence[CueConflict], categories: Sequence[str]
) -> tuple[list[CueConflict], list[str]]:
    """Return the images whose cues contradict each other, and what to say of the others.

    Args:
        images: all of them.
        categories: that the networks can tell.

    Raises:
        UserError: nothing is left.
    """
    left = [one for one in images if one.shape != one.texture]
    notes = []
    if same := len(images) - len(left):
        notes.append(
            f"{counted(same, 'image')} left out, with shape and texture of one category, as in the"
            " paper: there is no conflict."
        )
    known = [one for one in left if one.shape in categories and one.texture in categories]
    if lost := len(left) - len(known):
        notes.append(
            f"{counted(lost, 'image')} left out, with a shape or texture of a category that not all"
            " networks can tell."
        )
    if not known:
        raise UserError(
            f"none of {counted(len(images), 'image')} has shape and texture of two categories that"
            f" the networks tell ({', '.join(categories)})"
        )
    return known, notes
