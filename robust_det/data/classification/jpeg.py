"""A square crop straight from the bytes of a JPEG, at the smallest scale that has its detail.

libjpeg-turbo can leave out the high frequencies of the 8 x 8 blocks and so decode an image at 1/2,
1/4 or 1/8 of its size, for less than the whole costs. Position x from the image's edge is x / k in
the scaled one, so the edges of a crop come between pixels there, and are taken where they are.
"""

from __future__ import annotations

import numpy as np
import simplejpeg
import torch
from PIL import Image
from torch.nn.functional import interpolate

__all__ = ["JPEG_START", "Box", "colour_jpeg_shape", "crop_jpeg", "decoding_factor"]

JPEG_START = b"\xff\xd8\xff"
Box = tuple[int, int, int, int]  # top, left, height, width in pixels


def colour_jpeg_shape(content: bytes) -> tuple[int, int] | None:
    """Return the height and width of a JPEG of three channels; None of anything else.

    Images so large that Pillow suspects an attack count as something else.
    """
    if not content.startswith(JPEG_START):
        return None
    try:
        height, width, colours, _ = simplejpeg.decode_jpeg_header(content)
    except ValueError:
        return None
    small = not Image.MAX_IMAGE_PIXELS or height * width <= Image.MAX_IMAGE_PIXELS
    return (height, width) if small and colours in ("YCbCr", "RGB") else None


def decoding_factor(box: Box, size: int) -> int:
    """Return by how much an image may be shrunk so that its crop is no smaller than the result.

    Args:
        box: the crop.
        size: side of the square that the crop becomes.

    Returns:
        8, 4, 2 or 1. libjpeg-turbo knows factors between them, which cost more than they save.
    """
    shorter = min(box[2:])
    return next((factor for factor in (8, 4, 2) if shorter >= factor * size), 1)


def crop_jpeg(content: bytes, shape: tuple[int, int], box: Box, size: int) -> torch.Tensor | None:
    """Decode a colour JPEG, and resize a crop of it by an antialiased bilinear filter.

    At full scale the decoded bits are Pillow's, and the filter is rounded differently: a pixel is
    at most 2 levels from Pillow's of the same crop. At a smaller scale part of the filter is
    libjpeg-turbo's, which is sharper: photos are 1 level from Pillow's on average.

    Args:
        content: of the file.
        shape: height and width by its header.
        box: the crop, inside of the image.
        size: side of the result in pixels.

    Returns:
        (3, size, size) RGB, uint8; None if anything about the file is odd, even if a decoder could
        go on after it.
    """
    factor = decoding_factor(box, size)
    scaled = (_ceil(shape[0], factor), _ceil(shape[1], factor))
    try:
        pixels = simplejpeg.decode_jpeg(content, "RGB", min_height=scaled[0], min_width=scaled[1])
    except ValueError:  # also of warnings, such as one of a premature end
        return None
    if pixels.shape != (*scaled, 3):
        return None
    top, left, height, width = box
    if factor == 1:
        inside = torch.from_numpy(pixels[top : top + height, left : left + width])
        batch = inside.permute(2, 0, 1).unsqueeze(0)
        return interpolate(batch, (size, size), mode="bilinear", antialias=True).squeeze(0)
    # Pillow's filter is slower than torch's, and has edges between pixels
    first_row, first_column = top // factor, left // factor
    rows = slice(first_row, _ceil(top + height, factor))
    columns = slice(first_column, _ceil(left + width, factor))
    edges = (
        left / factor - first_column,
        top / factor - first_row,
        (left + width) / factor - first_column,
        (top + height) / factor - first_row,
    )
    image = Image.fromarray(pixels[rows, columns])
    resized = image.resize((size, size), Image.Resampling.BILINEAR, box=edges)
    return torch.from_numpy(np.array(resized)).permute(2, 0, 1)


def _ceil(length: int, factor: int) -> int:
    return -(-length // factor)
