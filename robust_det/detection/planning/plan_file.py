"""A chosen config as a file that people read and edit, and as a table."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any

from tabulate import tabulate

from robust_det.core.config.reading import flatten
from robust_det.detection.planning.rules import Choice

__all__ = ["PLAN_NAME", "plan_table", "plan_text"]

PLAN_NAME = "plan.yaml"
# what a table of a few lines shows: the choices that people change
_SHOWN = (
    "MODEL.MASK_ON",
    "INPUT.MIN_SIZE_TRAIN",
    "INPUT.MIN_SIZE_TEST",
    "MODEL.ANCHOR_GENERATOR.SIZES",
    "SOLVER.IMS_PER_BATCH",
    "SOLVER.BASE_LR",
    "SOLVER.MAX_ITER",
    "SOLVER.STEPS",
    "SOLVER.WARMUP_ITERS",
    "SOLVER.PRECISION",
)
_BY_HAND = "given on the command line"


def plan_text(
    heading: Iterable[str],
    choice: Choice,
    fixed: Mapping[str, Any],
    overrides: Mapping[str, Any],
) -> str:
    """Return the config.

    Args:
        heading: lines of comment.
        choice: what was chosen, with the reasons.
        fixed: dotted keys that follow from what was asked for.
        overrides: nested, of the command line; they win.
    """
    tree: dict[str, Any] = {}
    own = flatten(overrides)
    values = {k: (v, "") for k, v in fixed.items()} | dict(choice.keys)
    for key, (value, why) in (values | {k: (v, _BY_HAND) for k, v in own.items()}).items():
        node = tree
        *parents, leaf = key.split(".")
        for part in parents:
            node = node.setdefault(part, {})
        node[leaf] = (value, why)
    lines = [f"# {line}" for line in heading]
    return "\n".join([*lines, f"_BASE_: {choice.base}", *_lines(tree, "")]) + "\n"


def _lines(tree: Mapping[str, Any], indent: str) -> Iterable[str]:
    for key, value in tree.items():
        if isinstance(value, Mapping):
            yield f"{indent}{key}:"
            yield from _lines(value, f"{indent}  ")
            continue
        value, why = value
        comment = f"  # {why}" if why else ""
        if isinstance(value, list) and value and isinstance(value[0], Mapping):
            yield f"{indent}{key}:{comment}"
            # JSON on a line is YAML as well
            yield from (f"{indent}  - {_json(entry)}" for entry in value)
        else:
            yield f"{indent}{key}: {_json(value)}{comment}"


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)


def plan_table(choice: Choice, overrides: Mapping[str, Any], more: Mapping[str, str]) -> str:
    """Return what was chosen, for a terminal.

    Args:
        choice, overrides: see :func:`plan_text`.
        more: lines beside.
    """
    own = flatten(overrides)
    rows = [
        [key, _json(choice.keys[key][0]), choice.keys[key][1]]
        for key in _SHOWN
        if key in choice.keys
    ]
    rows += [[key, _json(value), _BY_HAND] for key, value in own.items()]
    rows += [[key, value, ""] for key, value in more.items()]
    return tabulate(rows, headers=("chosen", "value", "because"), disable_numparse=True)
