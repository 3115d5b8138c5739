"""From the layouts of older versions to today's: what was once written is read for ever."""

from __future__ import annotations

from typing import Any

import msgspec

from robust_det.records.base import SCHEMA

__all__ = ["upgraded"]


class _Joined(msgspec.Struct):
    """Names and libraries of evaluators, joined by `` + ``."""

    name: str
    library: str


class _Detection(msgspec.Struct):
    """What changed since schema 1."""

    evaluator: _Joined
    weights: dict[str, Any]


def upgraded(data: bytes, schema: int, kind: str) -> bytes:
    """Return the record of an older schema in today's layout, as JSON.

    Args:
        data: the record, as JSON.
        schema, kind: its own.

    Raises:
        ValueError: it is not laid out as the jobs wrote it.
    """
    # what stays as it is need not be understood
    fields: dict[str, Any] = msgspec.json.decode(data, type=dict[str, msgspec.Raw])
    if schema == 1:
        if kind not in _FROM_1:
            raise ValueError(f"field 'schema' is 1, which no record of kind {kind} ever was")
        fields = _FROM_1[kind](data, fields)
    return msgspec.json.encode({**fields, "schema": SCHEMA})


def _pretrain_from_1(data: bytes, fields: dict[str, Any]) -> dict[str, Any]:
    """The evaluator becomes a list of one."""
    return {**_without(fields, "evaluator"), "evaluators": [fields.get("evaluator")]}


def _detection_from_1(data: bytes, fields: dict[str, Any]) -> dict[str, Any]:
    """Evaluators become a list; fields that were not there from the start are given."""
    old = msgspec.json.decode(data, type=_Detection)
    names, libraries = old.evaluator.name.split(" + "), old.evaluator.library.split(" + ")
    if len(names) != len(libraries):
        raise ValueError(f"field 'evaluator' has {len(names)} names of {len(libraries)} libraries")
    evaluators = []
    for name, used in zip(names, libraries, strict=True):
        library, _, version = used.rpartition(" ")
        evaluators.append({"name": name, "library": library, "version": version})
    return {
        "detections": {},
        "segmentations": {},
        **_without(fields, "evaluator"),
        "evaluators": evaluators,
        "weights": {"sha256": "", **old.weights},
    }


def _without(fields: dict[str, Any], name: str) -> dict[str, Any]:
    return {key: value for key, value in fields.items() if key != name}


_FROM_1 = {"detection": _detection_from_1, "pretrain": _pretrain_from_1}
