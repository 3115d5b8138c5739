"""Annotations in JSON, read once: parsed, and hashed meanwhile."""

from __future__ import annotations

import hashlib
import json
from codecs import BOM_UTF8
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import msgspec

__all__ = [
    "Entries",
    "Text",
    "parse_json",
    "read_coco",
    "read_json",
    "with_texts",
]

# an entry as it stands in its file, which need not be written again
Text = msgspec.Raw | bytes


class Entries:
    """The elements of a list in JSON, each parsed when it is asked for.

    Those of COCO's training set would take 2.5 GB, and one after the other they take none.
    """

    def __init__(self, texts: list[msgspec.Raw]) -> None:
        self._texts = texts

    def __len__(self) -> int:
        return len(self._texts)

    def __iter__(self) -> Iterator[Any]:
        return map(parse_json, self._texts)

    def with_texts(self) -> Iterator[tuple[Any, Text]]:
        """Give each element and its text."""
        return ((parse_json(text), text) for text in self._texts)


def with_texts(entries: Sequence[Any] | Entries) -> Iterator[tuple[Any, Text | None]]:
    """Give each entry of a document, and its text where there is one."""
    if isinstance(entries, Entries):
        return entries.with_texts()
    return ((entry, None) for entry in entries)


class _Lists(msgspec.Struct):
    images: list[msgspec.Raw]
    annotations: list[msgspec.Raw]
    categories: list[Any]


def read_coco(path: str | Path) -> tuple[Any, str]:
    """Do what :func:`read_json` does for a document in COCO format.

    Its images and annotations are :class:`Entries`, its other parts but the categories are left
    out; what is no such document is given as it is.
    """
    return _read(path, _parse_coco)


def read_json(path: str | Path) -> tuple[Any, str]:
    """Read a JSON file.

    Returns:
        What it holds, and its SHA-256 as 64 hexadecimal digits.

    Raises:
        OSError: it cannot be read.
        ValueError, RecursionError: it is not JSON, as the standard library sees it.
    """
    return _read(path, parse_json)


def _read(path: str | Path, parse: Callable[[bytes], Any]) -> tuple[Any, str]:
    content = Path(path).read_bytes()
    with ThreadPoolExecutor(1) as pool:
        # on another core: it leaves the interpreter to the parser
        digest = pool.submit(hashlib.sha256, content)
        return parse(content), digest.result().hexdigest()


def _parse_coco(content: bytes) -> Any:
    try:
        if not content.isascii():
            content.decode()  # which is not looked at in what is parsed later
        body = memoryview(content)[len(BOM_UTF8) if content.startswith(BOM_UTF8) else 0 :]
        lists = msgspec.json.decode(body, type=_Lists)
    except (msgspec.DecodeError, ValueError, RecursionError):
        return parse_json(content)
    return {
        "images": Entries(lists.images),
        "annotations": Entries(lists.annotations),
        "categories": lists.categories,
    }


_decode = msgspec.json.Decoder().decode


def parse_json(text: Any) -> Any:
    """Parse JSON, bytes or anything with a buffer.

    Raises:
        ValueError, RecursionError: as the standard library does.
    """
    try:
        return _decode(text)
    except (msgspec.DecodeError, ValueError, RecursionError):
        # the standard library takes more than JSON: NaN, other encodings, half of a surrogate pair
        return json.loads(bytes(text))
