"""In which conditions two settings differ."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import msgspec

__all__ = ["as_key", "condition_differences"]


def as_key(value: Any) -> bytes:
    """Return bytes that are the same for equal values alone."""
    return msgspec.json.encode(value, order="sorted")


def condition_differences(
    one: Mapping[str, Any], two: Mapping[str, Any]
) -> list[tuple[str, str, str]]:
    """Return ``(key, value in one, value in two)`` for every key that differs.

    Data and evaluator come first, the config's keys follow by name.
    """
    keys = list(dict.fromkeys([*one, *two]))
    keys.sort(key=lambda k: (k.split(".")[0].isupper(), k))
    absent = object()
    out: list[tuple[str, str, str]] = []
    for key in keys:
        a, b = one.get(key, absent), two.get(key, absent)
        shown = ["absent" if v is absent else _brief(key, v) for v in (a, b)]
        if absent in (a, b) or as_key(a) != as_key(b):
            out.append((key, shown[0], shown[1]))
    return out


def _brief(key: str, value: Any) -> str:
    if ("sha256" in key or "manifest" in key) and isinstance(value, str):
        return value[:12]
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return text if len(text) <= 60 else text[:57] + "..."
