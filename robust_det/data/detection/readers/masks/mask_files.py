"""One mask file: its pixels, as they were written."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from pycocotools import mask as mask_util

from robust_det.core.errors import FileError

__all__ = ["LOSSLESS", "LOSSY", "as_object", "components", "read_mask"]

LOSSLESS = (".png", ".bmp", ".tif", ".tiff", ".gif")
LOSSY = (".jpg", ".jpeg", ".webp")


def read_mask(path: Path) -> NDArray[np.int64]:
    """Return the values of a mask, (H, W); of a palette the numbers, not the colours.

    Raises:
        FileError: it is in colours, has shades of transparency, several pages, or is stored with
            loss.
        Exception: whatever Pillow raises on a broken file.
    """
    with Image.open(path) as image:
        if image.format in ("JPEG", "WEBP"):
            raise FileError(
                f"is a {image.format}, which changes values at the edges of objects",
                "save masks as PNG from where they were made",
            )
        if image.format == "TIFF" and getattr(image, "n_frames", 1) > 1:
            raise FileError("has several pages", "save one file for each object or image")
        image.load()
        values = np.asarray(image)
    if values.dtype == bool:
        values = values.astype(np.uint8)
    if values.ndim == 3:
        values = _grey(values)
    if not np.array_equal(values, np.rint(values)):
        raise FileError("has numbers that are not whole", "save it with 8 or 16 bits")
    return values.astype(np.int64)


def _grey(values: NDArray[Any]) -> NDArray[Any]:
    """Return the only channel that says something."""
    channels = values.shape[2]
    if channels in (2, 4) and len(np.unique(values[..., -1])) > 1:
        raise FileError("has transparency, which could be the mask", "save it without")
    colours = values[..., : channels - (channels in (2, 4))]
    if not (colours == colours[..., :1]).all():
        raise FileError(
            "is in colours, and nothing says what each means",
            "save a grey or palette image with a number for each class or object",
        )
    return np.ascontiguousarray(colours[..., 0])


def components(where: NDArray[np.bool_]) -> Iterable[NDArray[np.bool_]]:
    """Give the parts of a mask (H, W) that do not touch, corners included."""
    import cv2  # here: other readers start without it

    count, labels = cv2.connectedComponents(where.astype(np.uint8), connectivity=8)
    return (labels == number for number in range(1, count))


def as_object(where: NDArray[np.bool_]) -> dict[str, Any]:
    """Return run lengths, box and area of a mask (H, W), as COCO's annotations have them."""
    runs = mask_util.encode(np.asfortranarray(where, dtype=np.uint8))
    box = [float(value) for value in mask_util.toBbox(runs)]
    return {
        "segmentation": {"size": list(runs["size"]), "counts": runs["counts"].decode()},
        "bbox": box,
        "area": float(mask_util.area(runs)),
        "iscrowd": 0,
    }
