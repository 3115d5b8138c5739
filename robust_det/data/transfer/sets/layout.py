"""Where a set lies below the folder that a user names, and the reading of its lists."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from robust_det.core.errors import FileError, naming
from robust_det.core.files import require_regular
from robust_det.data.transfer.listed import Listed

__all__ = ["Layout", "base_of", "first_of", "text_lines"]


@dataclass(frozen=True)
class Layout:
    """A layout of official files.

    Attributes:
        bases: folders below the user's in which it may lie; empty is that one itself.
        needs: files or folders that the reader needs, each with the places where it may be.
        read: takes the base.
        images: the folder of class folders, if there is one, which is still there without lists.
    """

    bases: tuple[str, ...]
    needs: tuple[tuple[str, ...], ...]
    read: Callable[[Path], Listed]
    images: str = ""

    def places(self, root: Path) -> list[Path]:
        """Return the folders in which it may lie, given the user's."""
        return [root, *(root / inner for inner in self.bases)]

    def lacks(self, base: Path) -> list[str]:
        """Return what it needs and a folder does not have."""
        return [places[0] for places in self.needs if not first_of(base, *places)]


def base_of(layout: Layout, root: Path) -> Path | None:
    """Return the folder in which all that a layout needs lies; None if there is none."""
    return next((base for base in layout.places(root) if not layout.lacks(base)), None)


def first_of(base: Path, *places: str) -> Path | None:
    """Return the first of several places that is there."""
    return next((base / place for place in places if (base / place).exists()), None)


def text_lines(path: Path) -> list[str]:
    """Return a list's lines without empty ones.

    Raises:
        FileError: it is no text.
    """
    require_regular(path)
    with naming(path):
        try:
            text = path.read_text(encoding="utf-8-sig")
        except UnicodeDecodeError as error:
            raise FileError("is no UTF-8 text", "take the official file") from error
    return [line.strip() for line in text.splitlines() if line.strip()]
