"""Annotations in JSON, read once: parsed, and hashed meanwhile."""

from __future__ import annotations

import contextlib
import gc
import hashlib
import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import msgspec

__all__ = ["read_json", "without_garbage_collection"]


def read_json(path: str | Path) -> tuple[Any, str]:
    """Read a JSON file.

    Returns:
        What it holds, and its SHA-256 as 64 hexadecimal digits.

    Raises:
        OSError: it cannot be read.
        ValueError, RecursionError: it is not JSON, as the standard library sees it.
    """
    content = Path(path).read_bytes()
    with ThreadPoolExecutor(1) as pool:
        # on another core: it leaves the interpreter to the parser
        digest = pool.submit(hashlib.sha256, content)
        return _parsed(content), digest.result().hexdigest()


def _parsed(content: bytes) -> Any:
    try:
        return msgspec.json.decode(content)
    except (msgspec.DecodeError, ValueError, RecursionError):
        # the standard library takes more than JSON: NaN, other encodings, half of a surrogate pair
        return json.loads(content)


@contextlib.contextmanager
def without_garbage_collection() -> Iterator[None]:
    """Halves the time that COCO takes: of a million small lists none is garbage."""
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()
