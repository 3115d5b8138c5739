"""Spellings in which two names are the same to people, though their characters differ."""

from __future__ import annotations

import unicodedata
from collections.abc import Callable

__all__ = ["SPELLINGS", "Spelling", "composed", "folded"]

Spelling = Callable[[str], str]


def composed(name: str) -> str:
    """Return a name with its accents put together: macOS takes them apart, which nobody sees."""
    return unicodedata.normalize("NFC", name)


def folded(name: str) -> str:
    """Return a name without regard to case, as on Windows, nor to how accents are composed."""
    return composed(composed(name).casefold())


# names are the same if they are equal so; the closest spelling, as written, first
SPELLINGS: tuple[Spelling, ...] = (str, composed, folded)
