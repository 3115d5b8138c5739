"""One split of a data set: ``ROOT/train/<class>/*``, ``ROOT/val/<class>/*``, or ImageNet's tars."""

from __future__ import annotations

from pathlib import Path

from robust_det.core.errors import UserError
from robust_det.data.classification.crops import Transform
from robust_det.data.classification.image_list import ImageList
from robust_det.data.classification.layouts import find_split

__all__ = ["ImageFolder"]


class ImageFolder(ImageList):
    """Images of one split, indexed by ``(epoch, index)``.

    Args:
        root: folder that holds the splits.
        split: its folder, such as ``train``, below the root or anywhere else; of ``train`` and
            ``val`` it may be a tar file of ImageNet instead, see :func:`.layouts.find_split`.
        classes: the classes expected; by default those found.
        transform, seed, substitute: see :class:`ImageList`.

    Raises:
        UserError: a folder is missing or empty, or a class has no images; a tar file is damaged.
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
        found = find_split(Path(root).expanduser(), split)
        if classes is not None and classes != found.classes:
            odd = sorted(set(classes) ^ set(found.classes))
            folder = found.store.folder
            where = folder.name if odd[0] in found.classes else "train"
            raise UserError(
                f"{folder} and the training split differ in classes: {odd[:5]};"
                f" '{odd[0]}' is in {where} alone, and each class needs images in both"
            )
        super().__init__(
            found.store, found.targets, found.classes, transform, seed, substitute, found.notes
        )
