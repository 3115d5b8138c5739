"""The images that a classifier is evaluated on, beside those that its training was validated on."""

from __future__ import annotations

from pathlib import Path

from robust_det.checkpoints.model import Model
from robust_det.core.errors import UserError
from robust_det.data.classification.crops import Transform
from robust_det.data.classification.held_out import HeldOut, hold_out
from robust_det.data.classification.identity import names_digest
from robust_det.data.classification.image_folder import ImageFolder
from robust_det.data.classification.image_list import ImageList
from robust_det.data.classification.layouts import has_split

__all__ = ["own_validation_notes", "validation_images"]

_TRAIN, _VAL = "train", "val"


def validation_images(
    folder: Path, model: Model, transform: Transform
) -> tuple[ImageList, HeldOut | None]:
    """Open the validation images in a folder: ``val``, or those that the model was validated on; a
    folder that has no splits is taken as a whole.

    Args:
        folder: of a data set.
        model: that was read.
        transform: of the images.

    Returns:
        The images, and how they were split off the training images, if they were.

    Raises:
        UserError: there are training images alone, and no others that the model was validated on;
            or see :class:`ImageFolder`.
    """
    own = model.validated
    if has_split(folder, _VAL):
        return ImageFolder(folder, _VAL, transform), None
    if own is not None and not own.fraction and has_split(folder, own.folder):
        return ImageFolder(folder, own.folder, transform), None
    if not has_split(folder, _TRAIN):
        return ImageFolder(folder, "", transform), None
    if own is not None and own.fraction:
        data = ImageFolder(folder, _TRAIN, transform)
        _, val, held_out = hold_out(data, own.fraction, own.seed)
        if held_out.sha256 == own.names:
            return val, held_out
    raise UserError(
        f"{folder} has images of training, {_TRAIN}, and no {_VAL}"
        + (", nor are they those that the file was trained on" if own and own.fraction else ""),
        "give the folder that holds the class folders to evaluate on",
    )


def own_validation_notes(model: Model, data: ImageList, held_out: HeldOut | None) -> list[str]:
    """Say so if images are others than those that a model's training was validated on, and some of
    them may have been trained on, or if its own were training images.

    Args:
        model: that was read.
        data: what it is evaluated on.
        held_out: how that was split off training images, if it was.
    """
    own = model.validated
    if own is not None and own.names == names_digest(data):
        return []
    if held_out is not None:
        return [
            f"the file does not say that it was trained without these images of {data.folder}:"
            " where it was trained on them, accuracy is too high"
        ]
    if own is not None and own.fraction:
        return [
            f"in training the file was validated on {own.fraction:g} of the training images, split"
            f" off by seed {own.seed}; these are those of {data.folder}"
        ]
    return []
