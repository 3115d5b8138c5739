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

from robust_det.core.errors import FileError, UserError
from robust_det.data.images import open_image

__all__ = ["decode", "read_image"]

_ORIENTATION, _UPRIGHT = 274, 1  # tag and value in EXIF


def read_image(path: str, layout: str, fast: bool = True) -> np.ndarray:
    """Do what :func:`decode` does, with words of what is wrong.

    Raises:
        UserError: the file is not a whole image, or nothing says which of its numbers is white.
        OSError: it is not there, or may not be read.
    """
    try:
        return decode(path, layout, fast)
    except FileError as error:
        raise UserError(f"image {path} {error.problem}", error.advice) from error
    except Exception as error:  # Pillow raises anything on a broken file
        if isinstance(error, OSError) and error.errno is not None:
            raise
        raise UserError(
            f"cannot decode image {path}: {error}; robust-det inspect --decode finds all such files"
        ) from error


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
        Exception: see :func:`.open_image`.
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
