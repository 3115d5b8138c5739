"""Setting a key that follows from something else, and keeping where each key comes from."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from detectron2.config import CfgNode

from robust_det.core.errors import UserError

__all__ = ["Origins", "adopt"]


@dataclass
class Origins:
    """Where the keys of a config come from; what has a default alone is in neither.

    Attributes:
        given: by dotted key, the file, or the command line.
        adopted: by dotted key, what it follows from.
    """

    given: dict[str, str] = field(default_factory=dict)
    adopted: dict[str, str] = field(default_factory=dict)

    def folder_of(self, key: str) -> str:
        """Return the folder of the file that a key comes from; empty for the command line."""
        source = Path(self.given.get(key, ""))
        return str(source.parent) if source.is_file() else ""


def adopt(cfg: CfgNode, origins: Origins, key: str, value: Any, source: str) -> None:
    """Set a key that follows from something; refuse a config that says otherwise."""
    *parents, leaf = key.split(".")
    node = cfg
    for part in parents:
        node = node[part]
    given = key in origins.given and node[leaf] not in ("", None)
    if given and not _same(node[leaf], value):
        raise UserError(
            f"{key} is {_shown(node[leaf])} in the config, but {source} needs {_shown(value)};"
            " leave the key out"
        )
    if not given:
        origins.adopted[key] = source
    # a tuple stays one
    node[leaf] = tuple(value) if isinstance(node[leaf], tuple) else value


def _same(a: Any, b: Any) -> bool:
    if isinstance(b, (list, tuple)):
        alike = isinstance(a, (list, tuple)) and len(a) == len(b)
        return alike and all(map(_same_item, a, b))
    return bool(a == b)


def _same_item(a: Any, b: Any) -> bool:
    numbers = all(isinstance(x, (int, float)) for x in (a, b))
    return abs(a - b) < 1e-3 if numbers else _same(a, b)


def _shown(value: Any) -> str:
    if isinstance(value, (list, tuple)):
        return "[" + ", ".join(map(_shown, value)) + "]"
    return f"{value:.3f}" if isinstance(value, float) else str(value)
