"""Words in the names of tensors and dictionaries."""

from __future__ import annotations

import re

__all__ = ["words_in", "words_of"]


def words_of(text: str) -> frozenset[str]:
    """Return the words of a text, which blanks separate."""
    return frozenset(text.split())


def words_in(name: str) -> frozenset[str]:
    """Return the words of a name in lower case, without its numbers; also those of camelCase."""
    apart = re.sub(r"(?<=[a-z])(?=[A-Z])", "_", name).lower()
    return frozenset(re.findall(r"[a-z]+", apart))
