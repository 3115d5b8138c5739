"""The JSON Schemas of configs, by which editors complete and check their keys."""

from __future__ import annotations

import functools
import json
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from robust_det.core.errors import UserError
from robust_det.core.installation import SCHEMAS

if TYPE_CHECKING:
    from robust_det.core.config.setting import Setting

__all__ = ["KINDS", "config_schema", "kind_of", "known_keys", "read_schema"]

# the kinds of configs, by the jobs that read them, and the names of their schemas
KINDS = ("pretrain", "detection", "transfer")
# what the configs' numbers may be as text, see parse_number(); YAML itself reads 1e-4 as text
_NUMBER = r"(\d+\.?\d*|\.\d+)([eE][-+]?\d+)?"
_TEXT = rf"^\s*[-+]?{_NUMBER}(\s*/\s*{_NUMBER})?\s*$"
_FLOAT = {"type": ["number", "string"], "pattern": _TEXT}
_BASE = {
    "description": "configs below this one, by path or bare name; the last of a list wins",
    "type": ["string", "array"],
    "items": {"type": "string"},
}


def config_schema(
    title: str, defaults: Mapping[str, Any], settings: Mapping[str, Setting]
) -> dict[str, Any]:
    """Return the JSON Schema (draft 7, which editors know) of one kind of config.

    Args:
        title: of the schema.
        defaults: every key, nested; their types tell what is allowed.
        settings: what else is known of some of them, by dotted key.
    """
    sections = _section(defaults, settings, "")
    head = {"$schema": "http://json-schema.org/draft-07/schema#", "title": title}
    return {**head, **sections, "properties": {"_BASE_": _BASE, **sections["properties"]}}


def _section(
    defaults: Mapping[str, Any], settings: Mapping[str, Setting], prefix: str
) -> dict[str, Any]:
    properties = {}
    for key, default in defaults.items():
        full = f"{prefix}{key}"
        if isinstance(default, Mapping):
            properties[key] = _section(default, settings, f"{full}.")
        else:
            properties[key] = {**_type(default), "default": default, **_more(settings.get(full))}
    return {"type": "object", "properties": properties, "additionalProperties": False}


def _type(default: Any) -> dict[str, Any]:
    """Return what a value of the type of a default is, as merging takes it."""
    if isinstance(default, bool):
        return {"type": "boolean"}
    if isinstance(default, int):
        return {"type": "integer"}
    if isinstance(default, float):
        return dict(_FLOAT)
    if isinstance(default, str):
        return {"type": "string"}
    if isinstance(default, (list, tuple)):
        items = [_type(item) for item in default]
        same = {"items": items[0]} if items and all(item == items[0] for item in items) else {}
        # merging does not look at the items of a list of integers
        if same.get("items") == {"type": "integer"}:
            same = {"items": {"type": "number"}}
        return {"type": "array", **same}
    return {}  # None says nothing


def _more(setting: Setting | None) -> dict[str, Any]:
    if setting is None:
        return {}
    values = list(setting.choices or setting.known) or None
    if setting.also:
        return {
            "description": setting.words,
            "anyOf": [{"enum": values}, {"pattern": setting.also}],
        }
    limits = {
        "minimum": setting.least,
        "exclusiveMinimum": setting.above,
        "exclusiveMaximum": setting.below,
        "enum": values,
        "items": setting.items,
    }
    return {"description": setting.words, **{k: v for k, v in limits.items() if v is not None}}


@functools.cache
def read_schema(kind: str) -> dict[str, Any]:
    """Return the schema that comes along, of one of :data:`KINDS`."""
    schema: dict[str, Any] = json.loads((SCHEMAS / f"{kind}.json").read_text())
    return schema


def known_keys(kind: str) -> dict[str, Any]:
    """Return the dotted keys of a kind of config, with their defaults."""
    return dict(_keys(read_schema(kind)["properties"], ""))


def _keys(properties: Mapping[str, Any], prefix: str) -> Iterator[tuple[str, Any]]:
    for key, value in properties.items():
        if "properties" in value:
            yield from _keys(value["properties"], f"{prefix}{key}.")
        elif key != "_BASE_":
            yield f"{prefix}{key}", value["default"]


def kind_of(keys: Mapping[str, Any], name: str) -> str:
    """Tell the kind of a config by the keys it sets.

    Args:
        keys: dotted.
        name: of the config, for the message.

    Raises:
        UserError: as many of them are known to another kind.
    """
    known = {kind: len(known_keys(kind).keys() & keys.keys()) for kind in KINDS}
    first, second, _ = sorted(KINDS, key=known.__getitem__, reverse=True)
    if known[first] == known[second]:
        raise UserError(
            f"config {name} sets nothing that tells whether it is of pretraining, detection or"
            " transfer"
        )
    return first
