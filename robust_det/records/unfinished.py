"""Folders of runs that have left no record: they go on, were interrupted, or have failed."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from pathlib import Path

from robust_det.core.locks import NAME, at_work_in
from robust_det.records.record_file import RECORD_NAME

__all__ = ["unfinished_runs"]

_OUTPUT = "output.txt"  # what a run of a sweep has said
# any of these is there soon after a run has begun
_SIGNS = {
    NAME,
    _OUTPUT,
    "images.jsonl",
    "last.pth",
    "last_checkpoint",
    "log.txt",
    "metrics.json",
    "metrics.jsonl",
}


def unfinished_runs(folders: Iterable[str | Path]) -> list[tuple[Path, str]]:
    """Return the runs without a record at and below folders, and what is known of each.

    As :func:`.find_records` does, it does not look into the folder of a finished run.
    """
    found: dict[Path, str] = {}
    for folder in folders:
        for where in _below(folder):
            found.setdefault(where, _state(where))
    return list(found.items())


def _below(folder: str | Path) -> Iterator[Path]:
    for where, folders, files in os.walk(folder):
        if RECORD_NAME in files:
            folders.clear()
        elif _SIGNS.intersection(files):
            yield Path(where)
        folders.sort()


def _state(folder: Path) -> str:
    if owner := at_work_in(folder):
        return f"it has no run record yet: {owner}"
    try:
        said = (folder / _OUTPUT).read_text(errors="replace").replace("\r", "\n").splitlines()
    except OSError:
        said = []
    errors = [line.removeprefix("error: ") for line in said if line.startswith("error: ")]
    if errors:
        return f"it has no run record, and has failed: {errors[-1]}"
    return "it has no run record: it was interrupted, or has failed"
