"""Image files as all jobs see them: upright, and with 8 bits a channel.

Pillow turns a TIFF when it loads it, and leaves other formats to whoever asks for their EXIF data.
It cuts integers above 255 off when it converts them, so that an image of 16 bits turns white.
"""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import IO

import numpy as np
from PIL import Image, UnidentifiedImageError

from robust_det.core.errors import FileError, UserError, reason_of

__all__ = ["PIXELS_VARIABLE", "bits_of", "check_range", "exif_turn", "open_image", "whole_image"]

PIXELS_VARIABLE = "ROBUST_DET_MAX_PIXELS"

_WHITE_IS_ZERO = 0
_BITS_PER_SAMPLE, _PHOTOMETRIC, _ORIENTATION = 258, 262, 274  # tags of TIFF; EXIF has the last
# by how Pillow decodes colours of 16 bits, to one byte of each: what gives the other one
_NATIVE = ("L", "B") if sys.byteorder == "little" else ("B", "L")
_OTHER_BYTES = {
    f"{colours};16{order}": f"{colours};16{other}"
    for colours in ("RGB", "RGBA")
    for order, other in (("L", "B"), ("B", "L"), ("N", _NATIVE[1]))
}
_TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
_ADVICE = "save it with 8 or 16 bits"


def _most_pixels() -> int:
    """Return how many pixels an image may have: twice what Pillow warns of, unless it is said."""
    said = os.environ.get(PIXELS_VARIABLE)
    if not said:
        return 2 * (Image.MAX_IMAGE_PIXELS or 0)
    if not said.isdecimal() or int(said) < 2:
        raise UserError(
            f"{PIXELS_VARIABLE} is '{said}'; it is a number of pixels, such as 500000000"
        )
    Image.MAX_IMAGE_PIXELS = int(said) // 2
    return int(said)


@contextlib.contextmanager
def whole_image(file: str | Path | IO[bytes] | None = None) -> Iterator[None]:
    """Say of an image that is opened and decoded inside what is wrong with it.

    Args:
        file: the image, to tell what is empty from what is something else.

    Raises:
        FileError: it is no whole image, or has too many pixels.
        OSError: it is not there, or may not be read.
    """
    most = _most_pixels()
    try:
        yield
    except (FileError, MemoryError):
        raise
    except Image.DecompressionBombError as error:
        raise FileError(
            f"has more than {most:,} pixels",
            f"scale it down or cut it into tiles; or, if you trust it, set {PIXELS_VARIABLE} to"
            " more than it has",
        ) from error
    except UnidentifiedImageError as error:
        raise FileError("is empty" if _is_empty(file) else "is not an image") from error
    except Exception as error:  # Pillow's decoders raise anything on a broken file
        if isinstance(error, OSError) and error.errno is not None:
            raise
        raise FileError(f"is truncated or damaged: {reason_of(error)}") from error


def _is_empty(file: str | Path | IO[bytes] | None) -> bool:
    if file is None:
        return False
    if isinstance(file, (str, Path)):
        return os.path.getsize(file) == 0
    return file.seek(0, os.SEEK_END) == 0


def open_image(file: str | Path | IO[bytes], upright: bool = True) -> Image.Image:
    """Decode an image.

    Of what has 8 bits or fewer, pixels and mode are Pillow's. 16 bits are divided by 257 and
    rounded, so that the whole range becomes the whole range; 12 bits likewise. Floating-point
    numbers are scaled from [0, 1]. Of 16 bits of grey with alpha, and of CMYK, Pillow gives the
    upper 8 alone. Of several frames it is the first.

    Args:
        file: its path, or its content.
        upright: turn the image as its EXIF data say. Pillow turns a TIFF in any case.

    Returns:
        The image, loaded, of a mode with at most 8 bits a channel.

    Raises:
        FileError: it is no whole image, or has too many pixels; or integers of 32 bits, integers
            with a sign, or floating-point numbers outside of [0, 1]: nothing says what is white.
        OSError: it is not there, or may not be read.
    """
    if isinstance(file, (str, Path)):
        # not by its path, as Pillow's short way for those takes the turned size of a TIFF
        with open(file, "rb") as stream:
            return open_image(stream, upright)
    with whole_image(file):
        return _decoded(file, upright)


def _decoded(file: IO[bytes], upright: bool) -> Image.Image:
    with Image.open(file) as image:
        check_range(image)
        bits, inverse = bits_of(image), _is_inverse(image)
        lower = _lower_bytes(image, file)
        image.load()
    turn = exif_turn(image) if upright else None
    if image.mode == "F":
        image = _of_unit_range(image, inverse)
    elif lower is not None:
        image = _rounded(image, lower)
    elif bits > 8 and image.mode.startswith("I"):
        image = _eight_bits(image, bits, inverse)
    elif image.mode == "La":  # which Pillow converts to nothing else
        image = image.convert("LA")
    return image if turn is None else image.transpose(turn)


def exif_turn(image: Image.Image) -> Image.Transpose | None:
    """Return what turns an image upright; None of one that is.

    Args:
        image: loaded, since Pillow turns a TIFF then and no longer says that it lay.
    """
    try:
        return _TURNS.get(image.getexif().get(_ORIENTATION, 1))
    except Exception:  # of EXIF data that are none; the image is left as it is
        return None


def bits_of(image: Image.Image) -> int:
    """Return how many bits an image's channels have: 8, for fewer as well, 12, 16 or 32.

    Args:
        image: opened, not loaded.
    """
    if image.mode == "I":
        # PNG and PGM have no more
        return 16 if image.format in ("PNG", "PPM") else 32
    if image.mode == "F":
        return 32
    if _raw_mode(image).startswith("I;12"):
        return 12
    return 16 if image.mode.startswith("I;16") or ";16" in _raw_mode(image) else 8


def check_range(image: Image.Image) -> None:
    """Refuse what nobody knows the white of, as far as that can be told before it is decoded.

    Raises:
        FileError: see :func:`open_image`.
    """
    if image.mode == "I" and bits_of(image) == 32:
        signed = ";16" in _raw_mode(image)
        what = "16-bit integers with a sign" if signed else "32-bit integers"
        raise FileError(f"has {what}, and nothing says which of them is white", _ADVICE)


def _raw_mode(image: Image.Image) -> str:
    """Return how a file's pixels are stored, as Pillow's decoders call it."""
    for tile in getattr(image, "tile", ()):
        arguments = tile[3]
        first = arguments[0] if isinstance(arguments, tuple) and arguments else arguments
        return first if isinstance(first, str) else ""
    return ""


def _is_inverse(image: Image.Image) -> bool:
    """Return whether 0 is white, which Pillow heeds in TIFFs of 8 bits alone."""
    tags = getattr(image, "tag_v2", {})
    return bool(tags.get(_PHOTOMETRIC, 1) == _WHITE_IS_ZERO)


def _eight_bits(image: Image.Image, bits: int, inverse: bool) -> Image.Image:
    """Return a grey image of 12 or 16 bits with 8."""
    most = 2**bits - 1
    values = np.asarray(image).astype(np.int64)
    scaled = (values * 255 + most // 2) // most
    return Image.fromarray((255 - scaled if inverse else scaled).astype(np.uint8))


def _of_unit_range(image: Image.Image, inverse: bool) -> Image.Image:
    values = np.asarray(image, dtype=np.float64)
    low, high = values.min(), values.max()
    if not (low >= 0 and high <= 1):  # NaN is neither
        raise FileError(
            f"has floating-point numbers from {low:g} to {high:g}, and 1 is white by convention",
            f"scale them to [0, 1], or {_ADVICE}",
        )
    scaled = np.rint(values * 255).astype(np.uint8)
    return Image.fromarray(255 - scaled if inverse else scaled)


def _lower_bytes(image: Image.Image, file: IO[bytes]) -> Image.Image | None:
    """Return the lower bytes of a colour image of 16 bits, of which Pillow decodes the upper ones.

    None of other images, and where Pillow has no way: with grey and alpha, and CMYK.
    """
    other = _OTHER_BYTES.get(_raw_mode(image))
    if other is None:
        return None
    place = file.tell()
    file.seek(0)
    lower = Image.open(file)
    lower.tile = [
        tile._replace(args=(other, *tile.args[1:]) if isinstance(tile.args, tuple) else other)
        for tile in lower.tile
    ]
    lower.load()
    file.seek(place)
    return lower


def _rounded(upper: Image.Image, lower: Image.Image) -> Image.Image:
    """Return a colour image of 16 bits, given as upper and lower bytes, with 8."""
    values = np.asarray(upper).astype(np.int64) * 256 + np.asarray(lower)
    return Image.fromarray(((values + 128) // 257).astype(np.uint8))
