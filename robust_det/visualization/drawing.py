"""A sheet as one PNG file."""

from __future__ import annotations

import functools
import io

import matplotlib.font_manager
import numpy as np
from PIL import Image, ImageDraw, ImageFont

from robust_det.core.figures import INK
from robust_det.visualization.sheet import Pixels, Sheet

__all__ = ["png_of", "sheet_png"]

_PAPER, _QUIET, _HAIR = "#ffffff", "#59616b", "#d5d9de"
_GAP, _MARGIN, _HEADING = 10, 16, 36  # the last for two lines over a column
_LABELS = 150  # pixels beside the rows
_SMALLEST, _LARGEST = 132, 224  # side of an image in the picture
_WIDEST = 2400


def png_of(pixels: Pixels) -> bytes:
    """Return (H, W, 3) uint8 pixels as the content of a PNG file."""
    out = io.BytesIO()
    Image.fromarray(pixels).save(out, "PNG", optimize=True)
    return out.getvalue()


def sheet_png(sheet: Sheet) -> bytes:
    """Draw a sheet.

    Images are scaled to a common width, small ones without smoothing; words that are too long are
    cut off.

    Returns:
        The content of a PNG file.
    """
    shapes = [c.pixels.shape for row in sheet.rows for c in row.cells if c.pixels is not None]
    width = min(max([shape[1] for shape in shapes], default=_SMALLEST), _LARGEST)
    room = (_WIDEST - _LABELS) // max(len(sheet.columns), 1) - _GAP
    width = max(min(max(width, _SMALLEST), room), 64)
    heights = [_row_height([c.pixels for c in row.cells], width) for row in sheet.rows]
    captions = [any(cell.caption for cell in row.cells) for row in sheet.rows]
    line = 16
    total = _MARGIN + 30 + _HEADING
    total += sum(
        h + (line if words else 0) + _GAP for h, words in zip(heights, captions, strict=True)
    )
    full = 2 * _MARGIN + _LABELS + len(sheet.columns) * (width + _GAP)
    canvas = Image.new("RGB", (max(full, 420), total + _MARGIN), _PAPER)
    pen = ImageDraw.Draw(canvas)
    pen.text((_MARGIN, _MARGIN), sheet.title, INK, font=_font(17))
    y = _MARGIN + 30
    for number, name in enumerate(sheet.columns):
        x = _MARGIN + _LABELS + number * (width + _GAP)
        for place, part in enumerate(name.split("\n")):
            ink = _QUIET if place else INK
            pen.text((x, y + 15 * place), _cut(part, width, 12), ink, font=_font(12))
    y += _HEADING
    for row, height, words in zip(sheet.rows, heights, captions, strict=True):
        _label(pen, row.label, y, height)
        for number, cell in enumerate(row.cells):
            x = _MARGIN + _LABELS + number * (width + _GAP)
            if cell.pixels is None:
                pen.rectangle((x, y, x + width - 1, y + height - 1), outline=_HAIR)
            else:
                canvas.paste(_scaled(cell.pixels, width), (x, y))
            if cell.caption:
                below = _cut(cell.caption, width, 11)
                pen.text((x, y + height + 1), below, _QUIET, font=_font(11))
        y += height + (line if words else 0) + _GAP
    return png_of(np.asarray(canvas))


def _row_height(images: list[Pixels | None], width: int) -> int:
    sides = [round(p.shape[0] * width / p.shape[1]) for p in images if p is not None]
    return max(sides, default=width)


def _scaled(pixels: Pixels, width: int) -> Image.Image:
    image = Image.fromarray(pixels)
    size = width, max(round(image.height * width / image.width), 1)
    enlarged = image.width < width
    return image.resize(size, Image.Resampling.NEAREST if enlarged else Image.Resampling.LANCZOS)


def _label(pen: ImageDraw.ImageDraw, text: str, y: int, height: int) -> None:
    lines = [_cut(part, _LABELS - 12, 12) for part in text.split("\n")]
    top = y + max(height - 16 * len(lines), 0) // 2
    for number, part in enumerate(lines):
        pen.text((_MARGIN, top + 16 * number), part, INK, font=_font(12))


@functools.cache
def _font(size: int) -> ImageFont.FreeTypeFont:
    return ImageFont.truetype(matplotlib.font_manager.findfont("DejaVu Sans"), size)


def _cut(text: str, width: int, size: int) -> str:
    if _font(size).getlength(text) <= width:
        return text
    while text and _font(size).getlength(f"{text}…") > width:
        text = text[:-1]
    return f"{text}…"
