"""Food-101."""

from __future__ import annotations

import json
from pathlib import Path

from robust_det.core.errors import FileError
from robust_det.core.files import require_regular
from robust_det.data.transfer.listed import OFFICIAL, Listed
from robust_det.data.transfer.sets.layout import Layout

__all__ = ["LAYOUTS"]


def _read(base: Path) -> Listed:
    train, test = (_images(base / f"meta/{split}.json") for split in ("train", "test"))
    splits = {
        split: [(f"images/{image}.jpg", name) for name in sorted(images) for image in images[name]]
        for split, images in (("train", train), ("test", test))
    }
    return Listed(base, OFFICIAL, tuple(sorted({*train, *test})), splits)


def _images(path: Path) -> dict[str, list[str]]:
    require_regular(path)
    try:
        found = json.loads(path.read_bytes())
    except ValueError as error:
        raise FileError("is no JSON", "take the official file", str(path)) from error
    if not isinstance(found, dict) or not all(isinstance(each, list) for each in found.values()):
        raise FileError("gives no lists of images by class", "take the official file", str(path))
    return found


LAYOUTS = (
    Layout(("food-101",), (("meta/train.json",), ("meta/test.json",)), _read, images="images"),
)
