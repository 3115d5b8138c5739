"""How far the runs of a sweep are, by the metrics that they write."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path

from robust_det.records import RECORD_NAME

__all__ = ["iterations_done"]

_TAIL = 16384  # bytes that hold the last line


def iterations_done(folders: Mapping[Path, int]) -> int:
    """Return the iterations done over all runs; a record says that a run is done.

    Args:
        folders: of the runs, with each one's number of iterations.
    """
    return sum(
        total if (folder / RECORD_NAME).exists() else min(_of_run(folder), total)
        for folder, total in folders.items()
    )


def _of_run(folder: Path) -> int:
    try:
        with open(folder / "metrics.json", "rb") as file:
            file.seek(max(file.seek(0, os.SEEK_END) - _TAIL, 0))
            lines = file.read().splitlines()
    except OSError:
        return 0  # not begun
    for line in reversed(lines):
        try:
            return int(json.loads(line)["iteration"]) + 1
        except (ValueError, KeyError, TypeError):
            continue  # half written, or cut off at the front
    return 0
