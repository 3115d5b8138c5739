"""Reading image files: Detectron2's ``read_image``, bit for bit, with a faster way for JPEG."""

from __future__ import annotations

import io

import numpy as np
import torch
from detectron2.data import detection_utils as utils
from detectron2.utils.file_io import PathManager
from PIL import Image
from torchvision.io import ImageReadMode, decode_jpeg

from robust_det.errors import UserError

__all__ = ["read_image"]

_ORIENTATION, _UPRIGHT = 274, 1  # tag and value in EXIF


def read_image(path: str, layout: str, fast: bool = True) -> np.ndarray:
    """Read an image, turned upright if its EXIF data say how.

    Pillow and torchvision decode JPEG with the same library, and give the same bits; torchvision
    needs less time around it.

    Args:
        path: of the file; whatever Detectron2's ``PathManager`` opens.
        layout: as ``INPUT.FORMAT``, such as RGB or BGR.
        fast: decode upright colour JPEGs with torchvision.

    Returns:
        (H, W, C), uint8, but for ``YUV-BT.601``, which is floating-point.

    Raises:
        UserError: the file is not a whole image.
        OSError: it is not there, or may not be read.
    """
    pixels = _decode_jpeg(path) if fast and layout in ("RGB", "BGR") else None
    if pixels is not None:
        return pixels if layout == "RGB" else pixels[:, :, ::-1]
    try:
        return utils.read_image(path, layout)
    except Exception as error:  # Pillow raises anything on a broken file
        if isinstance(error, OSError) and error.errno is not None:
            raise
        raise UserError(
            f"cannot decode image {path}: {error};"
            " tools/inspect_dataset.py --decode finds all such files"
        ) from error


def _decode_jpeg(path: str) -> np.ndarray | None:
    """Decode an upright colour JPEG to RGB; None for any other file, and for a broken one."""
    with PathManager.open(path, "rb") as file:
        content = bytearray(file.read())
    try:
        # reads the header alone
        image = Image.open(io.BytesIO(content), formats=["JPEG"])
        if image.mode != "RGB" or image.getexif().get(_ORIENTATION, _UPRIGHT) != _UPRIGHT:
            return None
        pixels = decode_jpeg(torch.frombuffer(content, dtype=torch.uint8), ImageReadMode.RGB)
    except Exception:  # whatever it is, Pillow decides
        return None
    return pixels.permute(1, 2, 0).numpy()
