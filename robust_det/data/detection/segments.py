"""COCO's panoptic format: PNGs with a segment's id in each pixel, and JSON that describes them."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from robust_det.core.errors import UserError, naming, reason_of
from robust_det.core.files import write_atomically
from robust_det.data.detection.annotation_file import read_json
from robust_det.data.detection.canonical.flags import as_flag
from robust_det.data.detection.canonical.identifiers import is_identifier
from robust_det.data.detection.checking.report import shortened
from robust_det.data.images import bits_of, whole_image
from robust_det.data.places import nowhere
from robust_det.data.walking import search

__all__ = [
    "IGNORED",
    "VOID",
    "no_segments",
    "read_ids",
    "read_panoptic",
    "semantic_places",
    "stuff_names",
    "write_ids",
]

VOID = 0  # the id of pixels without a segment
IGNORED = 255  # what they are in semantic maps
_MOST_STUFF = 254  # beside the things, of which semantic maps make one class
_LISTS = ("images", "annotations", "categories")
_CATEGORY = ("id", "name", "isthing")
_ANNOTATION = ("image_id", "file_name", "segments_info")
_SEGMENT = ("id", "category_id", "area", "bbox", "iscrowd")


def read_panoptic(path: str | Path, name: str) -> tuple[dict[str, Any], str]:
    """Read panoptic annotations.

    Args:
        path: of the JSON file.
        name: of the data set, for messages.

    Returns:
        The document, and the SHA-256 of the file.

    Raises:
        UserError: the file is missing, or is not in COCO's panoptic format.
    """
    if not Path(path).is_file():
        raise UserError(f"data set '{name}' has no panoptic annotations at {nowhere(str(path))}")
    refusal = f"annotations {path} are not in COCO's panoptic format"
    try:
        document, sha256 = read_json(path)
    except (OSError, ValueError, RecursionError) as error:
        raise UserError(f"{refusal} ({type(error).__name__}: {error})") from error
    for key in _LISTS:
        if not isinstance(document, dict) or not isinstance(document.get(key), list):
            raise UserError(f"{refusal}: they need a list '{key}'")
    _check_categories(document["categories"], refusal)
    _require(document["annotations"], _ANNOTATION, f"{refusal}: each annotation")
    for annotation in document["annotations"]:
        _check_annotation(annotation, refusal)
    return document, sha256


def _check_categories(categories: Any, refusal: str) -> None:
    _require(categories, _CATEGORY, f"{refusal}: each category")
    ids = [c["id"] for c in categories]
    if not all(type(number) is int and number > 0 for number in ids) or len(set(ids)) < len(ids):
        raise UserError(f"{refusal}: categories need ids from 1, each its own")
    for category in categories:
        category["isthing"] = int(_flag(category, "isthing", refusal))
    stuff = sum(not c["isthing"] for c in categories)
    if not 0 < stuff <= _MOST_STUFF:
        raise UserError(
            f"{refusal}: {stuff} categories are no things; semantic maps hold from 1 to"
            f" {_MOST_STUFF} of them"
        )


def _check_annotation(annotation: Mapping[str, Any], refusal: str) -> None:
    file, segments = annotation["file_name"], annotation["segments_info"]
    below = isinstance(file, str) and os.path.normpath(file.replace("\\", "/"))
    if not below or below.startswith(("..", "/")):
        raise UserError(f"{refusal}: file_name {file!r} is not below the folder of segments")
    _require(segments, _SEGMENT, f"{refusal}: each of the segments_info of {file}")
    for segment in segments:
        if segment["iscrowd"] not in (0, 1):
            segment["iscrowd"] = int(_flag(segment, "iscrowd", refusal))
    numbers = [segment[key] for segment in segments for key in ("id", "category_id")]
    if not all(type(n) is int for n in numbers) or not is_identifier(annotation["image_id"]):
        raise UserError(f"{refusal}: an id of {file} is not a number")


def _flag(entry: Mapping[str, Any], key: str, refusal: str) -> bool:
    try:
        return as_flag(entry[key], key)
    except ValueError as error:
        raise UserError(f"{refusal}: {shortened(entry)} {error}") from None


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
        with (
            naming(f"cannot read segments {path}: it"),
            whole_image(path),
            Image.open(path) as image,
        ):
            # of 16 bits, Pillow would give the upper ones
            mode = image.mode if bits_of(image) == 8 else f"{image.mode} with {bits_of(image)} bits"
            pixels = np.asarray(image, dtype=np.int32)
    except OSError as error:
        raise UserError(f"cannot read segments {path}: {reason_of(error)}") from error
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


def no_segments(name: str, files: Sequence[str], folder: str) -> UserError:
    """Say that a data set has no PNG file at all, and where they may be instead.

    Args:
        name: of the data set.
        files: that its annotations name.
        folder: in which they were looked for.
    """
    first = os.path.basename(files[0].replace("\\", "/"))
    others = [
        f for f in search(os.path.dirname(os.path.abspath(folder)), first) if _is_ids(f, first)
    ]
    return UserError(
        f"data set '{name}' has none of the {len(files)} PNG files of its segments, such as"
        f" {files[0]}, in {folder}",
        f"{others[0]} has it: name that folder, in DATASETS.CUSTOM as SEGMENTS"
        if others
        else "they are files of their own beside the JSON, unpacked; name their folder, in"
        " DATASETS.CUSTOM as SEGMENTS",
    )


def _is_ids(folder: str, file: str) -> bool:
    """Return whether a PNG is of ids, and no semantic map of the same name."""
    try:
        read_ids(os.path.join(folder, file))
    except UserError:
        return False
    return True


def semantic_places(categories: Sequence[Mapping[str, Any]]) -> dict[int, int]:
    """Return what each category is in semantic maps: things are 0, stuff counts from 1."""
    stuff = sorted(c["id"] for c in categories if not c["isthing"])
    return {c["id"]: 0 if c["isthing"] else stuff.index(c["id"]) + 1 for c in categories}


def stuff_names(categories: Sequence[Mapping[str, Any]]) -> list[str]:
    """Return what semantic maps' classes are called: one for all things, then stuff by its ids.

    As in Detectron2, names go without COCO's ``-other`` and ``-merged``.
    """
    stuff = sorted((c for c in categories if not c["isthing"]), key=lambda c: c["id"])
    names = (str(c["name"]) for c in stuff)
    return ["things", *(name.replace("-other", "").replace("-merged", "") for name in names)]
