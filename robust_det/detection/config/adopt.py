"""Setting a key that follows from something else."""

from __future__ import annotations

from typing import Any

from detectron2.config import CfgNode

from robust_det.core.errors import UserError

__all__ = ["adopt"]


def adopt(cfg: CfgNode, given: set[str], key: str, value: Any, source: str) -> None:
    """Set a key that follows from something; refuse a config that says otherwise."""
    *parents, leaf = key.split(".")
    node = cfg
    for part in parents:
        node = node[part]
    if key in given and node[leaf] not in ("", None) and not _same(node[leaf], value):
        raise UserError(
            f"{key} is {_shown(node[leaf])} in the config, but {source} needs {_shown(value)};"
            " leave the key out"
        )
    node[leaf] = value


def _same(a: Any, b: Any) -> bool:
    if isinstance(b, (list, tuple)):
        return len(a) == len(b) and all(abs(x - y) < 1e-3 for x, y in zip(a, b, strict=True))
    return bool(a == b)


def _shown(value: Any) -> str:
    if isinstance(value, (list, tuple)):
        return "[" + ", ".join(f"{v:.3f}" for v in value) + "]"
    return str(value)
