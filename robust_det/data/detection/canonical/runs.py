"""Run-length encoded masks in their spellings, brought into one."""

from __future__ import annotations

import ast
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pycocotools import mask as mask_util

__all__ = ["canonical_runs", "compressed_runs"]

# a compressed run is of characters from here, each with 5 bits and one that says if more follow
_FIRST, _VALUES, _MORE, _SIGN = 48, 64, 0x20, 0x10
_LONGEST = 7  # characters of a run below 2 ** 32


def canonical_runs(outline: Mapping[str, Any], width: int, height: int) -> dict[str, Any] | None:
    """Return a mask as ``{"size": [height, width], "counts": text}``; None if it is unsound.

    Args:
        outline: with the counts as numbers, compressed as pycocotools does, or as that text's bytes
            are printed: ``"b'...'"``.
        width, height: of the image, in pixels, which the runs have to fill.
    """
    counts = outline.get("counts")
    if isinstance(counts, list):
        if not all(type(n) in (int, float) and n >= 0 and n == n // 1 for n in counts):
            return None
        if sum(counts) != width * height:
            return None
        runs: dict[str, Any] = {"size": [height, width], "counts": [int(n) for n in counts]}
        compressed = mask_util.frPyObjects(runs, height, width)["counts"].decode()
        return {**runs, "counts": compressed}
    if not isinstance(counts, str):
        return None
    text = _unquoted(counts)
    runs_found = _decoded(text)
    if runs_found is None or runs_found.min() < 0 or int(runs_found.sum()) != width * height:
        return None
    return {"size": [height, width], "counts": text}


def compressed_runs(outline: Mapping[str, Any], height: int, width: int) -> Mapping[str, Any]:
    """Return a mask's runs as pycocotools takes them, counts that are numbers compressed."""
    if not isinstance(outline["counts"], list):
        return outline
    runs: Mapping[str, Any] = mask_util.frPyObjects(dict(outline), height, width)
    return runs


def _unquoted(text: str) -> str:
    """Return what Python's ``str`` of bytes was made of; no compressed text has quotes."""
    if text[:2] not in ("b'", 'b"'):
        return text
    try:
        value = ast.literal_eval(text)
        return value.decode("ascii") if isinstance(value, bytes) else text
    except (ValueError, SyntaxError):
        return text


def _decoded(text: str) -> NDArray[np.int64] | None:
    """Return the counts in a compressed text; None if it is none."""
    if not text or not text.isascii():
        return None
    values = np.frombuffer(text.encode(), np.uint8).astype(np.int64) - _FIRST
    if values.min() < 0 or values.max() >= _VALUES:
        return None
    ends = np.flatnonzero(values < _MORE)
    if not len(ends) or ends[-1] != len(values) - 1:
        return None
    starts = np.concatenate([[0], ends[:-1] + 1])
    lengths = ends - starts + 1
    if lengths.max() > _LONGEST:
        return None
    places = np.arange(len(values)) - np.repeat(starts, lengths)
    counts = np.add.reduceat((values & (_MORE - 1)) << (5 * places), starts)
    counts -= np.where(values[ends] & _SIGN, 1 << (5 * lengths), 0)
    # from the fourth on, each is the difference to the last but one
    counts[1::2] = np.cumsum(counts[1::2])
    counts[2::2] = np.cumsum(counts[2::2])
    return counts
