"""The files of results, a JSON line each, and the tables made of them."""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

import msgspec

__all__ = ["append_result", "markdown_table", "parse_arguments", "read_results"]


def parse_arguments(
    parser: argparse.ArgumentParser, table: Callable[[Path], str]
) -> argparse.Namespace | None:
    """Parse the command line of a benchmark; return None if the table was all it asked for.

    Args:
        parser: gets ``--output`` and ``--table``.
        table: returns a file of results as Markdown, which is printed with ``--table``.
    """
    parser.add_argument("--output", type=Path, help="append what comes out to this JSON lines file")
    parser.add_argument("--table", type=Path, help="print such a file as Markdown, and stop")
    args = parser.parse_args()
    if args.table:
        print(table(args.table))
        return None
    return args


def append_result(path: Path, result: dict[str, Any]) -> None:
    """Add a result, of plain values and an environment, to a file; its folder is made."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with open(path, "a") as file:
        file.write(json.dumps(result, sort_keys=True, default=msgspec.to_builtins) + "\n")


def read_results(path: Path) -> list[dict[str, Any]]:
    """Return the results of a file, in their order."""
    return [json.loads(line) for line in path.read_text().splitlines()]


def markdown_table(head: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """Return a Markdown table."""
    lines = ["| " + " | ".join(head) + " |", "|---" * len(head) + "|"]
    lines += ["| " + " | ".join(map(str, cells)) + " |" for cells in rows]
    return "\n".join(lines)
