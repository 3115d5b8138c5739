"""ImageFolder trees for classification: ``ROOT/train/<class>/*`` and ``ROOT/val/<class>/*``."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from robust_det.core.errors import UserError
from robust_det.data.classification.crops import Transform
from robust_det.data.classification.image_list import ImageList
from robust_det.data.classification.listing import Listing, class_folders, images_below, left_out

__all__ = ["ImageFolder"]


class ImageFolder(ImageList):
    """Images of one split, indexed by ``(epoch, index)``.

    Args:
        root: folder that holds the split folders.
        split: ``"train"`` or ``"val"``.
        classes: the class folders expected; by default those found.
        transform, seed, substitute: see :class:`ImageList`.

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
        folder = Path(root).expanduser() / split
        here, beside = class_folders(folder)
        if classes is not None and classes != here:
            odd = sorted(set(classes) ^ set(here))
            where = folder.name if odd[0] in here else "train"
            raise UserError(
                f"{folder} and the training split differ in classes: {odd[:5]};"
                f" '{odd[0]}' is in {where} alone, and each class needs images in both"
            )
        found = [images_below(folder / name) for name in here]
        super().__init__(
            folder,
            [path for each in found for path in each.paths],
            np.repeat(np.arange(len(found)), [len(each.paths) for each in found]),
            here,
            transform,
            seed,
            substitute,
            _notes(folder, beside, dict(zip(here, found, strict=True))),
        )

    def keep(self, chosen: NDArray[np.int64]) -> None:
        """Leave the images at these positions alone, in this order."""
        self.targets, self._paths = self.targets[chosen], self._paths[chosen]


def _notes(folder: Path, beside: list[str], found: dict[str, Listing]) -> tuple[str, ...]:
    """Return what somebody should know of what lies in a split's folder."""
    notes = []
    if beside:
        notes.append(
            f"{len(beside)} files, such as {beside[0]}, lie in {folder} itself, belong to no class"
            " and were left out"
        )
    others: Counter[str] = sum((each.others for each in found.values()), Counter())
    if others:
        notes.append(
            f"files of {folder} that are not read as images were left out: {left_out(others)}"
        )
    nested = [name for name, each in found.items() if each.folders]
    if nested:
        inner = found[nested[0]].folders
        notes.append(
            f"{folder / nested[0]} has {len(inner)} sub-folders with images ({inner[0]},"
            f" {inner[1]}, ...) and none of its own: all of them count as the one class {nested[0]}"
        )
    return tuple(notes)
