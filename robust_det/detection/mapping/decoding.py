"""Reading image files: Detectron2's ``read_image``, bit for bit, with a faster way for JPEG."""

from __future__ import annotations

import io

import numpy as np
import simplejpeg
from detectron2.data import detection_utils as utils
from detectron2.utils.file_io import PathManager
from PIL import Image

from robust_det.core.errors import UserError

__all__ = ["read_image"]

_ORIENTATION, _UPRIGHT = 274, 1  # tag and value in EXIF


def read_image(path: str, layout: str, fast: bool = True) -> np.ndarray:
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
        UserError: the file is not a whole image.
        OSError: it is not there, or may not be read.
    """
    pixels = _decode_jpeg(path, layout) if fast and layout in ("RGB", "BGR") else None
    if pixels is not None:
        return pixels
    try:
        return utils.read_image(path, layout)
    except Exception as error:  # Pillow raises anything on a broken file
        if isinstance(error, OSError) and error.errno is not None:
            raise
        raise UserError(
            f"cannot decode image {path}: {error}; robust-det inspect --decode finds all such files"
        ) from error


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
