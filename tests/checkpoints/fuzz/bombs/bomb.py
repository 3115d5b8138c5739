"""What a bomb is, and what several kinds share."""

from __future__ import annotations

from collections.abc import Iterator

from ..parts import beside

Bomb = tuple[str, str, bytes]  # a name, what has to come out, and a file
MANY = 60_000  # opcodes; a file may have eight times as many


def everywhere(name: str, result: str, extra: bytes) -> Iterator[Bomb]:
    for kind in ("zip", "legacy", "pickle"):
        yield f"{name}, {kind}", result, beside(kind, extra)
