"""What a detector calls its classes: kept in its file, so that it predicts without its data."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from detectron2.data import MetadataCatalog

from robust_det.core.errors import UserError

__all__ = ["CATEGORIES_KEY", "ClassNames", "categories_in", "categories_of"]

CATEGORIES_KEY = "categories"


class ClassNames(NamedTuple):
    """The classes of a detector's file, in its order; empty where it does not say.

    Attributes:
        objects: of boxes.
        stuff: of pixels.
    """

    objects: tuple[str, ...] = ()
    stuff: tuple[str, ...] = ()


def categories_of(name: str) -> list[dict[str, Any]]:
    """Return the classes of a prepared data set in a detector's order, as COCO has categories.

    Args:
        name: as registered.

    Returns:
        ``{"id", "name"}`` of each class. Ids are those of the annotations; a data set without
        ids, as Detectron2's VOC, gets 1, 2, ...
    """
    metadata = MetadataCatalog.get(name)
    names = metadata.thing_classes
    places = metadata.get("thing_dataset_id_to_contiguous_id")
    ids = sorted(places, key=places.get) if places else range(1, len(names) + 1)
    return [
        {"id": int(number), "name": str(label)} for number, label in zip(ids, names, strict=True)
    ]


def categories_in(content: Mapping[str, Any], path: str) -> list[dict[str, Any]]:
    """Return the classes that a detector's file names; none if it was written without.

    Raises:
        UserError: damaged ones.
    """
    categories = content.get(CATEGORIES_KEY, [])
    try:
        sound = [{"id": int(c["id"]), "name": str(c["name"])} for c in categories]
        unique = len({category["id"] for category in sound}) == len(sound)
    except (KeyError, TypeError, ValueError, OverflowError):
        unique = False
    if not unique:
        raise UserError(f"{path} has a damaged list of classes; copy the file again")
    return sound
