"""What is evaluated: a classifier of any file, and images of its classes."""

from __future__ import annotations

import contextlib
import hashlib
import statistics
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from robust_det.checkpoints.model import Model
from robust_det.checkpoints.model_file import NetworkFile
from robust_det.classification.class_order import class_notes
from robust_det.classification.measure import open_validation
from robust_det.classification.own_validation import own_validation_notes
from robust_det.classification.robustness.asked import Asked
from robust_det.classification.robustness.subset import stratified
from robust_det.core.errors import UserError
from robust_det.core.files import sha256_file
from robust_det.data.classification.held_out import HeldOut
from robust_det.data.classification.identity import contents_of, names_digest
from robust_det.data.classification.image_list import ImageList
from robust_det.data.classification.sizes import usual_resize
from robust_det.data.images import open_image
from robust_det.models import Classifier

__all__ = ["Subject", "open_subject"]

_LOOKED_AT = 32  # images whose size is looked at


@dataclass(frozen=True)
class Subject:
    """What is evaluated.

    Attributes:
        file: of the classifier.
        sha256: of it.
        model, classifier: what it holds; the classifier takes images in [0, 1], in eval mode.
        data: the images, with the model's classes as targets.
        held_out: how they were split off training images, if they were.
        of: how many there are in the folder.
        digest: of their names and contents.
        size, resize: the crop, and the short side that it is cut from, in pixels.
        notes: what was assumed or left out, a sentence each.
    """

    file: NetworkFile
    sha256: str
    model: Model
    classifier: Classifier
    data: ImageList
    held_out: HeldOut | None
    of: int
    digest: str
    size: int
    resize: int
    notes: tuple[str, ...]


def open_subject(file: NetworkFile, folder: str | Path, asked: Asked) -> Subject:
    """Read a classifier, and list its images.

    Args:
        file: of any format that :func:`.read_model` reads.
        folder: of the images, see :func:`robust_det.classification.measure.open_validation`.
        asked: how many of them, and their size.

    Raises:
        UserError: the file holds no classifier, the folders are not its classes, or the radii do
            not fit the images.
    """
    model = file.read()
    classifier = model.classifier()
    size = asked.size or model.image_size
    asked.check_sizes(size)
    resize = asked.resize or usual_resize(size)
    data, held_out = open_validation(folder, model, size, resize)
    of, present = len(data), sorted(set(data.targets.tolist()))
    notes = [*model.remarks, *class_notes(model, present, data.folder), *data.notes]
    notes += own_validation_notes(model, data, held_out)
    if asked.images is not None:
        if asked.images > of:
            notes.append(f"{data.folder} has {of} images, fewer than --images {asked.images}")
        data.keep(stratified(data.targets, asked.images, asked.seed))
    if asked.size is None:
        notes += _size_notes(data, model, size, resize)
    if asked.resize is None:
        notes += _resize_notes(model, size, resize)
    contents = f"{names_digest(data)} {contents_of(data).packed()}"
    return Subject(
        file=file,
        sha256=sha256_file(file.path),
        model=model,
        classifier=classifier,
        data=data,
        held_out=held_out,
        of=of,
        digest=hashlib.sha256(contents.encode()).hexdigest(),
        size=size,
        resize=resize,
        notes=tuple(notes),
    )


def _size_notes(data: ImageList, model: Model, size: int, resize: int) -> list[str]:
    """Say so if the size of crops is a guess, and where images are much smaller."""
    notes = []
    if not model.described:
        notes.append(
            f"the file does not say the size of its images: crops of {size} px are taken; --size"
            " gives another"
        )
    sides = []
    for index in np.arange(min(_LOOKED_AT, len(data))) * len(data) // min(_LOOKED_AT, len(data)):
        with contextlib.suppress(UserError, OSError):  # told when it is evaluated
            sides.append(min(open_image(data.source(int(index)), upright=False).size))
    if sides and 2 * statistics.median(sides) < resize:
        notes.append(
            f"the images' short side is about {statistics.median(sides):.0f} px, and is blown up to"
            f" {resize} px; --size gives another crop than {size} px"
        )
    return notes


def _resize_notes(model: Model, size: int, resize: int) -> list[str]:
    """Say so if training validated on the same crops out of other images."""
    own = model.validated
    if own is None or size != model.image_size or own.resize == resize:
        return []
    return [
        f"in training the file was validated on crops of {size} px out of {own.resize} px; these"
        f" are out of {resize} px, and --resize {own.resize} takes those"
    ]
