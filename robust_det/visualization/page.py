"""A sheet as one HTML file that needs nothing beside it."""

from __future__ import annotations

import base64
import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from PIL import Image

from robust_det.pages.rendering import render
from robust_det.visualization.drawing import png_of
from robust_det.visualization.sheet import Pixels, Sheet

__all__ = ["sheet_html"]

_TEMPLATES = Path(__file__).parent / "templates"
_LOSSLESS = 112  # a side of up to so many pixels is kept bit for bit
_LARGEST = 448


def sheet_html(
    sheet: Sheet,
    said: Sequence[str],
    means: tuple[Sequence[str], Sequence[Sequence[str]]],
    facts: Mapping[str, Any],
    networks: Sequence[str],
) -> str:
    """Return a page of a sheet, its images within. Every text is escaped.

    Images of more than 112 pixels a side are JPEGs in it.

    Args:
        sheet: the picture.
        said: sentences about it.
        means: head and rows of a table, maybe empty.
        facts: settings by name, as plain values.
        networks: a line about each.
    """
    values = {"sheet": sheet, "said": said, "means": means, "facts": facts, "networks": networks}
    return render(_TEMPLATES, "sheet.html", values, {"uri": _uri, "oneline": _oneline})


def _oneline(text: str) -> str:
    return " ".join(text.split())


def _uri(pixels: Pixels) -> str:
    if max(pixels.shape[:2]) <= _LOSSLESS:
        return f"data:image/png;base64,{base64.b64encode(png_of(pixels)).decode()}"
    image, out = Image.fromarray(pixels), io.BytesIO()
    image.thumbnail((_LARGEST, _LARGEST))
    image.save(out, "JPEG", quality=88)
    return f"data:image/jpeg;base64,{base64.b64encode(out.getvalue()).decode()}"
