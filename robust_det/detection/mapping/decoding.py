"""Reading image files as Detectron2 does, bit for bit up to 8 bits, with a faster way for JPEG.

Detectron2's own reader turns a TIFF twice, and makes white of what has 16 bits: see
:mod:`robust_det.data.images`.
"""

from __future__ import annotations

import io

import numpy as np
import simplejpeg
from detectron2.data import detection_utils as utils
from detectron2.utils.file_io import PathManager
from PIL import Image

from robust_det.core.errors import FileError, naming
from robust_det.data.images import open_image, whole_image

__all__ = ["decode", "read_image", "read_map"]

_ADVICE = (
    "robust-det inspect --decode finds all such files, and DATASETS.LENIENT True goes on without"
)

_ORIENTATION, _UPRIGHT = 274, 1  # tag and value in EXIF


def read_image(path: str, layout: str, fast: bool = True) -> np.ndarray:
    """Do what :func:`decode` does, with words of what is wrong.

    Raises:
        FileError: the file is not a whole image, or nothing says which of its numbers is white.
        OSError: it is not there, or may not be read.
    """
    try:
        return decode(path, layout, fast)
    except FileError as error:
        if error.advice:
            error.source = f"image {path}"
        else:
            error.source, error.advice = f"cannot decode image {path}: it", _ADVICE
        raise


def read_map(path: str) -> np.ndarray:
    """Read a semantic map as Detectron2 does: the class of each pixel, (H, W), uint8.

    Raises:
        FileError: the file is not a whole image.
        OSError: it is not there, or may not be read.
    """
    with naming(f"cannot decode semantic map {path}: it"), whole_image(path):
        return utils.read_image(path, "L")[..., 0]


def decode(path: str, layout: str, fast: bool = True) -> np.ndarray:
    """Read an image, turned upright if its EXIF data say how.

    Pillow and simplejpeg decode JPEG with the same library, libjpeg-turbo, to the same bits; Pillow
    spends more time around it.

    Args:
        path: of the file; whatever Detectron2's ``PathManager`` opens.
        layout: as ``INPUT.FORMAT``, such as RGB or BGR.
        fast: decode upright colour JPEGs with simplejpeg.

    Returns:
        (H, W, C), uint8, but for ``YUV-BT.601``, which is floating-point.

    Raises:
        FileError, OSError: see :func:`.open_image`.
    """
    pixels = _decode_jpeg(path, layout) if fast and layout in ("RGB", "BGR") else None
    if pixels is not None:
        return pixels
    with PathManager.open(path, "rb") as file:
        return utils.convert_PIL_to_numpy(open_image(file), layout)


def _decode_jpeg(path: str, layout: str) -> np.ndarray | None:
    """Decode an upright colour JPEG; None for any other file, and for one with any damage."""
    with PathManager.open(path, "rb") as file:
        content = file.read()
    try:
        # reads the header alone
        image = Image.open(io.BytesIO(content), formats=["JPEG"])
        if image.mode != "RGB" or image.getexif().get(_ORIENTATION, _UPRIGHT) != _UPRIGHT:
            return None
        return simplejpeg.decode_jpeg(content, layout)
    except Exception:  # whatever it is, Pillow decides
        return None
