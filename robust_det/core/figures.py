"""One style for all plots, and plots as files and as parts of a page."""

from __future__ import annotations

import io
import re
from collections.abc import Mapping
from typing import Any

import matplotlib
from matplotlib.figure import Figure

__all__ = [
    "COLOURS",
    "DASHES",
    "INK",
    "MARKERS",
    "PLACEHOLDER",
    "STYLE",
    "image_bytes",
    "inline_svg",
]

COLOURS = ("#2f7fe0", "#e0791b", "#1f9d6b", "#c94a8c", "#8b6cdb", "#8a8f98")
# beside colours, so that lines are told apart in grey and by whoever sees colours otherwise
MARKERS = ("o", "s", "^", "D", "v", "P")
DASHES = ("solid", (0, (5, 2)), (0, (1, 1.2)), (0, (6, 2, 1.5, 2)), (0, (3, 1)), (0, (8, 3)))
INK = "#1f2328"
_DECIMALS = re.compile(r"(\.\d\d)\d+")
# A colour no plot uses, so that the page can put the text colour of its theme in its place
PLACEHOLDER = "#010203"
STYLE = {
    "font.family": "DejaVu Sans",
    "font.size": 10.5,
    "text.parse_math": False,  # a name with a $ in it is a name
    "svg.hashsalt": "robust_det",  # the same numbers give the same file
    "svg.fonttype": "path",
}


def image_bytes(figure: Figure, kind: str, transparent: bool = False, dpi: int = 160) -> bytes:
    """Return the figure as ``"png"`` or ``"svg"``, without a date in it."""
    return _saved(figure, kind, STYLE, transparent, dpi)


def inline_svg(figure: Figure, description: str) -> str:
    """Return a plot as an ``<svg>`` element that takes the text colour of the page around it.

    Its text is text, in the page's font: a tenth of the size of its outlines.

    Args:
        figure: drawn with :data:`PLACEHOLDER` as its ink.
        description: read aloud in place of the picture; escaped here.
    """
    text = _saved(figure, "svg", {**STYLE, "svg.fonttype": "none"}, True, 160).decode()
    text = re.sub(r"<!--.*?-->|<metadata>.*?</metadata>", "", text, flags=re.DOTALL)
    text = text[text.index("<svg") :].replace(PLACEHOLDER, "currentColor")
    text = text.replace("'DejaVu Sans'", "system-ui, 'Segoe UI', Roboto, sans-serif")
    # a hundredth of a point is not seen, and what comes after it is a third of a page
    text = re.sub(r'(?<= d=")[^"]*', lambda path: _DECIMALS.sub(r"\1", path[0]), text)
    text = re.sub(r'(<svg[^>]*?) width="[^"]*"', r"\1", text, count=1)
    text = re.sub(r'(<svg[^>]*?) height="[^"]*"', r"\1", text, count=1)
    quoted = description.replace("&", "&amp;").replace('"', "&quot;").replace("<", "&lt;")
    return text.replace("<svg", f'<svg role="img" aria-label="{quoted}"', 1)


def _saved(
    figure: Figure, kind: str, style: Mapping[str, Any], transparent: bool, dpi: int
) -> bytes:
    out = io.BytesIO()
    metadata = {"Date": None} if kind == "svg" else None
    with matplotlib.rc_context(dict(style)):
        figure.savefig(out, format=kind, dpi=dpi, metadata=metadata, transparent=transparent)
    return out.getvalue()
