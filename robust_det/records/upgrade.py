"""From the layouts of older versions to today's: what was once written is read for ever."""

from __future__ import annotations

from typing import Any

import msgspec

from robust_det.records.base import SCHEMA

__all__ = ["upgraded"]


class _Evaluator(msgspec.Struct):
    """Of schema 1: names and libraries were joined by `` + ``."""

    name: str
    library: str


class _Detection(msgspec.Struct):
    evaluator: _Evaluator
    weights: dict[str, Any]


def upgraded(record: dict[str, Any], schema: int) -> dict[str, Any]:
    """Return the record of an older schema in today's layout, as plain values.

    Args:
        record: as it was read; left as it is.
        schema: its own.

    Raises:
        ValueError: it is not laid out as the jobs wrote it.
    """
    if schema == 1:
        record = _from_1(record)
    return {**record, "schema": SCHEMA}


def _from_1(record: dict[str, Any]) -> dict[str, Any]:
    """Evaluators become a list; fields that did not exist from the start are given."""
    out = {**record}
    if record["kind"] == "pretrain":
        out["evaluators"] = [out.pop("evaluator", None)]
        return out
    old = msgspec.convert(record, _Detection)
    del out["evaluator"]
    names, libraries = old.evaluator.name.split(" + "), old.evaluator.library.split(" + ")
    if len(names) != len(libraries):
        raise ValueError(f"field 'evaluator' has {len(names)} names of {len(libraries)} libraries")
    evaluators = []
    for name, used in zip(names, libraries, strict=True):
        library, _, version = used.rpartition(" ")
        evaluators.append({"name": name, "library": library, "version": version})
    out["evaluators"] = evaluators
    out["weights"] = {"sha256": "", **old.weights}
    return {"detections": {}, "segmentations": {}, **out}
