"""A picture of images and of what attacks made of them, so that people see what eps means.

Pixels of images are drawn as squares of whole pixels, so that nothing is blurred.
"""

from __future__ import annotations

import math
import textwrap
from collections.abc import Sequence
from dataclasses import dataclass
from operator import methodcaller
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
from matplotlib.figure import Figure
from matplotlib.font_manager import findfont, get_font
from numpy.typing import NDArray

from robust_det.classification.examples.example import FELL, STANDING, WRONG, Example
from robust_det.core.epsilon import eps_label
from robust_det.core.errors import one_line
from robust_det.core.figures import INK, STYLE, image_bytes
from robust_det.core.files import write_atomically

__all__ = ["EXAMPLES_NAME", "MOST_EPS", "Picture", "examples_figure", "write_picture"]

EXAMPLES_NAME = "examples.png"
MOST_EPS = 4  # that have columns; of more the first, the last and some between
_DPI = 100
_CELL = 168  # pixels of a side that an image gets at least
_GAP, _MARGIN = 14, 18
_LINE, _LETTER = 15, 6.6  # pixels of a line of text, and of a letter of it on average
_CAPTION = 3 * _LINE + 8
_SMALL = 7.6  # points
# told apart by the colour-blind, too; the marks are for those who print in grey
_GOOD, _BAD = "#00694e", "#b3400e"
_NICE = (1, 2, 5)


@dataclass(frozen=True)
class Picture:
    """What is drawn.

    Args:
        examples: a row each; one or more, of one size.
        names: of the classes.
        norm, eps: of the attacks, as the examples have them.
        title: says what was attacked, and how.
    """

    examples: Sequence[Example]
    names: Sequence[str]
    norm: str
    eps: Sequence[float]
    title: str

    @property
    def places(self) -> list[int]:
        """Which eps have columns."""
        number = min(len(self.eps), MOST_EPS)
        return sorted({round(i) for i in np.linspace(0, len(self.eps) - 1, number).tolist()})

    def magnified(self, place: int) -> float:
        """Return by how much the differences of an eps are drawn larger: they fill the range from
        black to white, but for a hundredth of their values."""
        largest = max(np.quantile(np.abs(one.changes[place]), 0.99) for one in self.examples)
        if largest == 0:
            return 1.0
        wanted = 0.505 / float(largest)  # a change is of half precision
        power = 10.0 ** math.floor(math.log10(wanted))
        return max(1.0, max(nice * power for nice in _NICE if nice * power <= wanted))

    def caption(self, one: Example, place: int | None) -> tuple[bool, list[str]]:
        """Return whether the class is right, and what is said below an image.

        Args:
            one: the example.
            place: of the eps; None of the image as it is.
        """
        seen = one.seen[0 if place is None else place + 1]
        right = seen.prediction == one.target
        if place is None:
            last = f"true: {self._name(one.target)}"
        else:
            end, _, at = one.fell[place].partition("@")
            plain = {WRONG: "wrong as it is", STANDING: "stands", FELL: "fell"}
            right = end == STANDING
            last = plain.get(end, f"fell to {end}") + (f" at ε {float(at):g}" if at else "")
        mark = "✓" if right else "✗"
        return right, [f"{mark} {self._name(seen.prediction)}", f"{seen.confidence:.1%}", last]

    def _name(self, number: int) -> str:
        return one_line(self.names[number])


def write_picture(path: Path, picture: Picture) -> None:
    """Draw it into a PNG file."""
    content = image_bytes(examples_figure(picture), "png", dpi=_DPI)
    write_atomically(path, methodcaller("write", content))


def examples_figure(picture: Picture) -> Figure:
    """Return the figure: a row an image, with the image, and at each eps the attacked one and the
    difference."""
    places = picture.places
    side = max(picture.examples[0].pixels.shape[1:])
    times = math.ceil(_CELL / side)
    cell, rows = times * side, len(picture.examples)
    columns = 1 + 2 * len(places)
    width = 2 * _MARGIN + columns * (cell + _GAP) - _GAP
    title = _title(picture, places, width)
    top = _MARGIN + _LINE * (len(title) + 2)
    height = top + rows * (cell + _CAPTION) + _MARGIN
    with matplotlib.rc_context({**STYLE, "text.color": INK}):
        figure = Figure(figsize=(width / _DPI, height / _DPI), dpi=_DPI)
        paper = _Paper(figure, width, height)
        for number, line in enumerate(title):
            paper.write(_MARGIN, _MARGIN + number * _LINE, line)
        lefts = [_MARGIN + column * (cell + _GAP) for column in range(columns)]
        most = int(cell / _LETTER)
        magnified = {place: picture.magnified(place) for place in places}
        heads = ["image"]
        for place in places:
            heads += [
                eps_label(picture.norm, picture.eps[place]),
                f"difference × {magnified[place]:g}",
            ]
        for left, head in zip(lefts, heads, strict=True):
            paper.write(left, top - _LINE - 4, _cut(head, most), weight="bold")
        for row, one in enumerate(picture.examples):
            upper = top + row * (cell + _CAPTION)
            paper.image(lefts[0], upper, one.pixels.transpose(1, 2, 0), times)
            paper.caption(lefts[0], upper + cell, picture.caption(one, None), most)
            for number, place in enumerate(places):
                left, beside = lefts[1 + 2 * number : 3 + 2 * number]
                change = one.changes[place].astype(np.float32)
                attacked = np.clip(one.pixels / np.float32(255) + change, 0, 1)
                paper.image(left, upper, _bytes(attacked), times)
                paper.caption(left, upper + cell, picture.caption(one, place), most)
                drawn = np.clip(0.5 + magnified[place] * change, 0, 1)
                paper.image(beside, upper, _bytes(drawn), times)
                l2, linf = float(np.linalg.norm(change)), float(np.abs(change).max())
                below = upper + cell + 4
                paper.write(beside, below, f"L2 {l2:.3g}")
                paper.write(beside, below + _LINE, f"L∞ {255 * linf:.3g}/255")
    return figure


def _title(picture: Picture, places: Sequence[int], width: int) -> list[str]:
    more = ""
    if len(places) < len(picture.eps):
        more = f" Shown are {len(places)} of {len(picture.eps)} ε."
    good = all(one.right for one in picture.examples)
    of = "a draw of the images that are classified right" if good else "a draw of the images"
    text = (
        f"{one_line(picture.title)}. Rows: {of}. Differences are around grey, 0, and cut off at"
        f" black and white.{more}"
    )
    return textwrap.wrap(_known(text), max(int(width / _LETTER) - 4, 20))


class _Paper:
    """A figure that is drawn on in pixels from its upper left corner."""

    def __init__(self, figure: Figure, width: int, height: int) -> None:
        self._figure, self._width, self._height = figure, width, height

    def image(self, left: int, upper: int, pixels: NDArray[np.uint8], times: int) -> None:
        """Put an image (H, W, 3), each of whose pixels is a square of ``times`` pixels."""
        large = pixels.repeat(times, axis=0).repeat(times, axis=1)
        self._figure.figimage(large, left, self._height - upper - large.shape[0])

    def write(self, left: int, upper: int, text: str, **style: Any) -> None:
        """Write a line."""
        x, y = left / self._width, 1 - upper / self._height
        self._figure.text(x, y, _known(text), fontsize=_SMALL, va="top", ha="left", **style)

    def caption(self, left: int, upper: int, said: tuple[bool, list[str]], most: int) -> None:
        """Write what is said below an image."""
        right, lines = said
        for number, line in enumerate(lines):
            first = number == 0
            style = {"color": _GOOD if right else _BAD, "weight": "bold"} if first else {}
            letters = most - 2 if first else most
            self.write(left, upper + 4 + number * _LINE, _cut(line, letters), **style)


def _bytes(image: NDArray[np.float32]) -> NDArray[np.uint8]:
    """Return an image (3, H, W) in [0, 1] as (H, W, 3)."""
    return np.rint(255 * image).astype(np.uint8).transpose(1, 2, 0)


def _cut(text: str, most: int) -> str:
    return text if len(text) <= most else f"{text[: most - 1]}…"


def _known(text: str) -> str:
    """Return a text with a mark in place of what the font has no letter for."""
    letters = get_font(findfont(str(STYLE["font.family"]))).get_charmap()
    return "".join(letter if ord(letter) in letters else "�" for letter in text)
