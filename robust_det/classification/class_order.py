"""Which of a model's classes the folders of a data set are."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from robust_det.checkpoints.model import Model
from robust_det.core.errors import UserError

__all__ = ["class_indices", "class_names", "class_notes", "imagenet_synsets"]


def class_indices(folders: Sequence[str], model: Model, where: str | Path) -> list[int]:
    """Return the index of each class folder among the model's logits.

    The names decide, in whatever order. If the model does not name its classes, 1000 are
    ImageNet's, in folders of their WordNet ids or of the numbers 0 .. 999, and others are the
    folders in their order when sorted.

    Args:
        folders: names of the class folders, of some of the model's classes or of all.
        model: that was read.
        where: the folder, for messages.

    Raises:
        UserError: a folder is no class of the model, or without names there is another number.
    """
    if not model.classes and model.num_classes == 1000:
        if all(re.fullmatch(r"0*[0-9]{1,3}", name) for name in folders):
            return [int(name) for name in folders]
        names, expected = imagenet_synsets(), "WordNet ids, such as n01440764, or 0 to 999"
    elif model.classes:
        names, expected = model.classes, f"its class names, such as {model.classes[0]}"
    elif len(folders) == model.num_classes:
        return list(range(len(folders)))
    else:
        raise UserError(
            f"{where} has {len(folders)} class folders, but the model has"
            f" {model.num_classes} classes; give the data it was trained for"
        )
    index = {name: i for i, name in enumerate(names)}
    if odd := [name for name in folders if name not in index]:
        raise UserError(
            f"{where}/{odd[0]} is no class of the model; name the folders by {expected}"
        )
    return [index[name] for name in folders]


def class_names(model: Model, folders: Sequence[str], indices: Sequence[int]) -> list[str]:
    """Return the names of all of a model's classes.

    Args:
        model: that was read.
        folders: names of class folders.
        indices: of these, see :func:`class_indices`.
    """
    names = list(model.classes) or [f"class {n}" for n in range(model.num_classes)]
    if not model.classes and model.num_classes == 1000:
        names = list(imagenet_synsets())
    for folder, index in zip(folders, indices, strict=True):
        names[index] = folder
    return names


def class_notes(model: Model, indices: Sequence[int], where: str | Path) -> list[str]:
    """Return what has to be known of accuracies on some of a model's classes.

    Args:
        model: that was read.
        indices: see :func:`class_indices`.
        where: the folder, for the text.
    """
    notes = []
    if len(indices) < model.num_classes:
        notes.append(
            f"{where} has images of {len(indices)} of the {model.num_classes} classes; accuracy is"
            " of these"
        )
    if not model.classes and model.num_classes != 1000:
        notes.append(
            "the file does not name its classes; the folders are taken for them as they sort"
        )
    return notes


def imagenet_synsets() -> tuple[str, ...]:
    """Return the WordNet ids of ImageNet's 1000 classes, in the order of the classes."""
    text = Path(__file__).with_name("imagenet_synsets.txt").read_text(encoding="ascii")
    return tuple(line for line in text.splitlines() if not line.startswith("#"))
