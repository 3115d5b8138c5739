"""Small files that grow, each with a name and what has to come out."""

from __future__ import annotations

from collections.abc import Iterator

from .archives import archives
from .bomb import Bomb
from .descriptions import descriptions, normalisations
from .headers import headers
from .lengths import lengths
from .many import keys, many
from .names import tensor_names
from .nesting import depths, laughs
from .objects import objects, repeated
from .tensors import tensors


def bombs() -> Iterator[Bomb]:
    """Yield names, what has to come out, and files."""
    yield from lengths()
    yield from laughs()
    yield from depths()
    yield from many()
    yield from keys()
    yield from tensors()
    yield from objects()
    yield from repeated()
    yield from tensor_names()
    yield from descriptions()
    yield from normalisations()
    yield from archives()
    yield from headers()
