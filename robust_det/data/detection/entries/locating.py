"""The paths in entries of ``DATASETS.CUSTOM``."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from robust_det.core.errors import UserError
from robust_det.data.detection.entries.forms import VOC_PARTS
from robust_det.data.places import datasets_folder, locate

__all__ = ["PATHS", "located_entries", "places_of"]

PATHS = (*VOC_PARTS, "CSV", "JSON", "MASKS", "PANOPTIC", "SEGMENTS", "VOC", "YOLO")


def located_entries(entries: Sequence[Any], beside: str) -> list[Any]:
    """Return entries whose paths lead to the same things from any other config file.

    What is found below ``$DETECTRON2_DATASETS``, in a VOC folder or nowhere stays as it was
    written.

    Args:
        entries: see :func:`parse_entry`; what is wrong with them is left to it.
        beside: the folder of the config that has them.
    """
    return [_moved(entry, beside) if isinstance(entry, Mapping) else entry for entry in entries]


def _moved(entry: Mapping[str, Any], beside: str) -> dict[str, Any]:
    places = places_of(entry, beside)
    made = dict(entry)
    for key, place in places.items():
        stays = [datasets_folder() / entry[key]]
        if key in VOC_PARTS and "VOC" in places:
            stays.append(Path(places["VOC"], entry[key]))
        if os.path.exists(place) and Path(place) not in stays:
            made[key] = place
    return made


def places_of(entry: Mapping[str, Any], beside: str) -> dict[str, str]:
    """Return by key where the paths of an entry lead."""
    given = {k: v for k in PATHS if isinstance(v := entry.get(k), str) and v}
    try:
        # parts of a VOC folder may be named as they are called in it
        folder = locate(given["VOC"], beside) if "VOC" in given else ""
        return {
            key: locate(path, beside, folder if key in VOC_PARTS else "")
            for key, path in given.items()
        }
    except UserError as error:
        raise UserError(f"data set '{entry.get('NAME')}': {error}") from error
