"""Marks that are yes or no, as tools write them."""

from __future__ import annotations

import math
from typing import Any

__all__ = ["as_flag"]

_YES = frozenset(("true", "yes", "y", "t", "on"))
_NO = frozenset(("", "false", "no", "n", "f", "off", "none", "null", "unspecified"))


def as_flag(value: Any, what: str) -> bool:
    """Return what a mark says: a number, or a word for yes or no. What is not there says no.

    Args:
        value: as it was written.
        what: the name of the mark, for the message.

    Raises:
        ValueError: it says neither; the message follows the name of what is marked.
    """
    number = 0.0 if value is None else value
    if isinstance(value, str):
        word = value.strip().casefold()
        if word in _YES or word in _NO:
            return word in _YES
        try:
            number = float(word)
        except ValueError:
            number = math.nan
    if isinstance(number, (int, float)) and math.isfinite(number) and number >= 0:
        return number > 0
    raise ValueError(f"has the {what} {value!r}, which is neither yes nor no")
