"""COCO's panoptic format: PNGs with a segment's id in each pixel, and JSON that describes them."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from detectron2.utils.colormap import colormap
from numpy.typing import NDArray
from PIL import Image

from robust_det.core.errors import UserError
from robust_det.core.files import write_atomically

__all__ = [
    "IGNORED",
    "VOID",
    "panoptic_metadata",
    "read_ids",
    "read_panoptic",
    "semantic_places",
    "write_ids",
]

VOID = 0  # the id of pixels without a segment
IGNORED = 255  # what they are in semantic maps
_MOST_STUFF = 254  # beside the things, of which semantic maps make one class
_LISTS = ("images", "annotations", "categories")
_CATEGORY = ("id", "name", "isthing")
_ANNOTATION = ("image_id", "file_name", "segments_info")
_SEGMENT = ("id", "category_id", "area", "bbox", "iscrowd")


def read_panoptic(path: str | Path, name: str) -> dict[str, Any]:
    """Read panoptic annotations.

    Args:
        path: of the JSON file.
        name: of the data set, for messages.

    Raises:
        UserError: the file is missing, or is not in COCO's panoptic format.
    """
    if not Path(path).is_file():
        raise UserError(
            f"data set '{name}' has no panoptic annotations at {path};"
            " set DETECTRON2_DATASETS to the folder that holds your data sets"
        )
    refusal = f"annotations {path} are not in COCO's panoptic format"
    try:
        document = json.loads(Path(path).read_bytes())
    except (OSError, ValueError, RecursionError) as error:
        raise UserError(f"{refusal} ({type(error).__name__}: {error})") from error
    for key in _LISTS:
        if not isinstance(document, dict) or not isinstance(document.get(key), list):
            raise UserError(f"{refusal}: they need a list '{key}'")
    _check_categories(document["categories"], refusal)
    _require(document["annotations"], _ANNOTATION, f"{refusal}: each annotation")
    for annotation in document["annotations"]:
        _check_annotation(annotation, refusal)
    return document


def _check_categories(categories: Any, refusal: str) -> None:
    _require(categories, _CATEGORY, f"{refusal}: each category")
    ids = [c["id"] for c in categories]
    if not all(type(number) is int and number > 0 for number in ids) or len(set(ids)) < len(ids):
        raise UserError(f"{refusal}: categories need ids from 1, each its own")
    stuff = sum(not c["isthing"] for c in categories)
    if not 0 < stuff <= _MOST_STUFF:
        raise UserError(
            f"{refusal}: {stuff} categories are no things; semantic maps hold from 1 to"
            f" {_MOST_STUFF} of them"
        )


def _check_annotation(annotation: Mapping[str, Any], refusal: str) -> None:
    file, segments = annotation["file_name"], annotation["segments_info"]
    if not isinstance(file, str) or os.path.normpath(file).startswith(("..", "/")):
        raise UserError(f"{refusal}: file_name {file!r} is not below the folder of segments")
    _require(segments, _SEGMENT, f"{refusal}: each of the segments_info of {file}")
    numbers = [segment[key] for segment in segments for key in ("id", "category_id")]
    if not all(type(n) is int for n in numbers) or type(annotation["image_id"]) not in (int, str):
        raise UserError(f"{refusal}: an id of {file} is not a number")


def _require(entries: Any, keys: Sequence[str], what: str) -> None:
    sound = isinstance(entries, list) and all(
        isinstance(entry, dict) and all(key in entry for key in keys) for entry in entries
    )
    if not sound:
        raise UserError(f"{what} needs {', '.join(keys)}")


def read_ids(path: str | Path) -> NDArray[np.int32]:
    """Return the ids in a PNG, (H, W).

    Raises:
        UserError: it is missing, or no whole RGB image.
    """
    try:
        with Image.open(path) as image:
            mode, pixels = image.mode, np.asarray(image, dtype=np.int32)
    except Exception as error:  # Pillow raises anything on a broken file
        raise UserError(f"cannot read segments {path}: {error}") from error
    if mode != "RGB":
        raise UserError(f"segments {path} are an image of mode {mode}; COCO's are RGB")
    return pixels[..., 0] + 256 * pixels[..., 1] + 256**2 * pixels[..., 2]


def write_ids(path: str | Path, ids: NDArray[np.int32]) -> None:
    """Write (H, W) ids below 256 ** 3 as a PNG.

    Raises:
        UserError: the file system refuses.
    """
    pixels = np.stack([ids % 256, ids // 256 % 256, ids // 256**2], axis=2).astype(np.uint8)
    write_atomically(path, lambda file: Image.fromarray(pixels).save(file, "PNG"))


def panoptic_metadata(categories: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Return what Detectron2's catalog says of its own ``*_panoptic_separated`` data sets.

    Classes are in the order of their ids, those of stuff start with one for all things, and their
    names go without COCO's ``-other`` and ``-merged``.

    Args:
        categories: of panoptic annotations.
    """
    ordered = sorted(categories, key=lambda c: c["id"])
    things = [c for c in ordered if c["isthing"]]
    stuff = [c for c in ordered if not c["isthing"]]
    palette = colormap(rgb=True, maximum=255).astype(int).tolist()
    colours = {c["id"]: _colour(c, palette[i % len(palette)]) for i, c in enumerate(ordered, 1)}
    return {
        "thing_classes": [str(c["name"]) for c in things],
        "thing_dataset_id_to_contiguous_id": {c["id"]: i for i, c in enumerate(things)},
        "thing_colors": [colours[c["id"]] for c in things],
        "stuff_classes": ["things", *(_short(c["name"]) for c in stuff)],
        "stuff_dataset_id_to_contiguous_id": {
            0: 0,
            **{c["id"]: i for i, c in enumerate(stuff, 1)},
        },
        "stuff_colors": [palette[0], *(colours[c["id"]] for c in stuff)],
        "ignore_label": IGNORED,
    }


def _colour(category: Mapping[str, Any], default: list[int]) -> list[int]:
    """Return a category's RGB, which COCO has and own data need not have."""
    given = category.get("color")
    if not isinstance(given, list) or len(given) != 3:
        return default
    return given if all(type(v) is int and 0 <= v <= 255 for v in given) else default


def _short(name: Any) -> str:
    return str(name).replace("-other", "").replace("-merged", "")


def semantic_places(categories: Sequence[Mapping[str, Any]]) -> dict[int, int]:
    """Return what each category is in semantic maps: things are 0, stuff counts from 1."""
    stuff = sorted(c["id"] for c in categories if not c["isthing"])
    return {c["id"]: 0 if c["isthing"] else stuff.index(c["id"]) + 1 for c in categories}
