"""Boxes, masks and names of classes on an image, to be seen in a small picture."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import matplotlib.font_manager
import numpy as np
from PIL import Image, ImageDraw, ImageFont
from pycocotools import mask

from robust_det.core.figures import COLOURS
from robust_det.data.detection.canonical.runs import compressed_runs

__all__ = ["FALSE", "FOUND", "IGNORED", "MISSED", "OBJECT", "Mark", "draw", "jpeg"]

# pixels; the page shows a picture at half of its width
_WIDTH, _HIGHEST, _LINE, _EDGE, _LETTERS = 640, 1280, 4, 2, 22
_DASH = 14
_FILL = 0.35  # how much of a mask's colour covers the image
_FONT = ImageFont.truetype(matplotlib.font_manager.findfont("DejaVu Sans"), _LETTERS)


@dataclass(frozen=True)
class Kind:
    """How what is found, missed and so on is drawn: colour, that of letters on it, and line."""

    colour: str
    letters: str
    dashed: bool = False


FOUND = Kind(COLOURS[0], "white")
FALSE = Kind(COLOURS[1], "black")
OBJECT = Kind(COLOURS[2], "white")
MISSED = Kind(COLOURS[3], "white", dashed=True)
IGNORED = Kind(COLOURS[5], "black", dashed=True)


@dataclass(frozen=True)
class Mark:
    """A box on an image: left, top, width, height in pixels, its kind, words, and mask or none."""

    box: Sequence[float]
    kind: Kind
    words: str
    outline: Any = None


def draw(image: Image.Image, marks: Sequence[Mark]) -> Image.Image:
    """Draw marks on an image that is scaled to a common width.

    Lines have dark and light edges, so that they are seen on any colour. Words that would cover
    those of an earlier mark are left out.

    Args:
        image: RGB.
        marks: in the image's pixels, those that matter most first.
    """
    scale = min(_WIDTH / image.width, _HIGHEST / image.height)
    size = max(round(image.width * scale), 1), max(round(image.height * scale), 1)
    canvas = _filled(image, marks).resize(size, Image.Resampling.LANCZOS)
    pen = ImageDraw.Draw(canvas)
    boxes = [_corners(mark.box, scale, size) for mark in marks]
    for mark, box in reversed(list(zip(marks, boxes, strict=True))):
        _frame(pen, box, mark.kind)
    taken: list[tuple[float, float, float, float]] = []
    for mark, box in zip(marks, boxes, strict=True):
        _label(pen, box, mark, size, taken)
    return canvas


def jpeg(image: Image.Image) -> bytes:
    """Return a picture as the content of a JPEG file."""
    out = io.BytesIO()
    image.save(out, "JPEG", quality=85)
    return out.getvalue()


def _filled(image: Image.Image, marks: Sequence[Mark]) -> Image.Image:
    """Return an image with the masks of its marks."""
    pixels = np.asarray(image).astype(np.float32)
    for mark in marks:
        inside = _inside(mark.outline, image.height, image.width)
        if inside is not None:
            colour = np.array([int(mark.kind.colour[n : n + 2], 16) for n in (1, 3, 5)])
            pixels[inside] += _FILL * (colour - pixels[inside])
    return Image.fromarray(np.rint(pixels).astype(np.uint8))


def _inside(outline: Any, height: int, width: int) -> Any:
    """The pixels of a mask, bool of shape (H, W), from polygons or runs; None without one."""
    if not outline:
        return None
    if isinstance(outline, Mapping):
        return mask.decode(compressed_runs(outline, height, width)).astype(bool)
    polygons = [polygon for polygon in outline if len(polygon) >= 6]
    if not polygons:
        return None
    return mask.decode(mask.merge(mask.frPyObjects(polygons, height, width))).astype(bool)


_Box = tuple[float, float, float, float]


def _corners(box: Sequence[float], scale: float, size: tuple[int, int]) -> _Box:
    """Left, top, right and bottom of a box on the canvas, so that its line is on it as well."""
    left, top = box[0] * scale, box[1] * scale
    right, bottom = left + box[2] * scale, top + box[3] * scale
    half = _LINE / 2
    left, right = (min(max(x, half), size[0] - 1 - half) for x in (left, right))
    top, bottom = (min(max(y, half), size[1] - 1 - half) for y in (top, bottom))
    return left, top, right, bottom


def _frame(pen: ImageDraw.ImageDraw, box: _Box, kind: Kind) -> None:
    left, top, right, bottom = box
    sides = (
        ((left, top), (right, top)),
        ((right, top), (right, bottom)),
        ((right, bottom), (left, bottom)),
        ((left, bottom), (left, top)),
    )
    for colour, width in (("white", _LINE + 2 * _EDGE), ("black", _LINE + _EDGE)):
        for start, end in sides:
            for one in _strokes(start, end, kind.dashed, width - _LINE):
                pen.line(one, colour, width)
    for start, end in sides:
        for one in _strokes(start, end, kind.dashed, 0):
            pen.line(one, kind.colour, _LINE)


_Point = tuple[float, float]


def _strokes(start: _Point, end: _Point, dashed: bool, longer: float) -> list[list[_Point]]:
    """The parts of a line that are drawn, each longer by an edge."""
    length = max(abs(end[0] - start[0]), abs(end[1] - start[1]))
    if not length:
        return []
    along = ((end[0] - start[0]) / length, (end[1] - start[1]) / length)
    step = 2 * _DASH if dashed else length
    out, at = [], 0.0
    while at < length:
        first, last = at - longer / 2, min(at + (_DASH if dashed else length), length) + longer / 2
        out.append([(start[0] + along[0] * d, start[1] + along[1] * d) for d in (first, last)])
        at += step
    return out


def _label(
    pen: ImageDraw.ImageDraw, box: _Box, mark: Mark, size: tuple[int, int], taken: list[_Box]
) -> None:
    """Write the words of a mark at a corner of its box, where there is room."""
    width, height = _FONT.getlength(mark.words) + 8, _LETTERS + 6
    left, top, right, bottom = box
    for x, y in (
        (left, top - height),
        (left, top),
        (right - width, bottom),
        (right - width, bottom - height),
    ):
        x, y = min(max(x, 0), size[0] - width), min(max(y, 0), size[1] - height)
        place = (x, y, x + width, y + height)
        if x >= 0 and y >= 0 and not any(_overlap(place, other) for other in taken):
            taken.append(place)
            pen.rectangle(place, mark.kind.colour)
            pen.text((x + 4, y + height / 2), mark.words, mark.kind.letters, _FONT, anchor="lm")
            return


def _overlap(one: _Box, other: _Box) -> bool:
    return one[0] < other[2] and other[0] < one[2] and one[1] < other[3] and other[1] < one[3]
