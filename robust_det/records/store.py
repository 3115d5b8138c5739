"""Many records: where they are, and what they say."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar, overload

from robust_det.core.memory import without_garbage_collection
from robust_det.records.base import Record
from robust_det.records.record_file import RECORD_NAME, read_record

__all__ = ["Found", "find_records", "load_records"]

R = TypeVar("R", bound=Record)


@dataclass(frozen=True)
class Found:
    """Where records are.

    Attributes:
        records: the files, each once, in the order given and by name below a folder.
        without: folders that were given and hold none, as of runs that go on or have failed.
        deeper: records in the folders of the runs found, such as of later evaluations, which were
            not asked for.
    """

    records: tuple[Path, ...]
    without: tuple[Path, ...]
    deeper: tuple[Path, ...] = ()


def find_records(paths: Iterable[str | Path]) -> Found:
    """Find the records at and below paths.

    The record of a run is that in its folder: what lies deeper, such as its ``eval``, is another
    one, and is found where it is named. A folder without a record is one of several runs.

    Args:
        paths: run folders, folders of them, or ``record.json`` files, which need not be there:
            reading says so.
    """
    records: dict[str, Path] = {}
    without: list[Path] = []
    deeper: dict[str, Path] = {}
    for given in map(Path, paths):
        found = list(_below(str(given))) if given.is_dir() else [str(given)]
        for name in found:
            records.setdefault(os.path.realpath(name), Path(name))
            if given.is_dir():
                below = Path(name).parent.glob(f"*/{RECORD_NAME}")
                deeper |= {os.path.realpath(one): one for one in sorted(below)}
        if not found:
            without.append(given)
    unasked = tuple(path for real, path in deeper.items() if real not in records)
    return Found(tuple(records.values()), tuple(dict.fromkeys(without)), unasked)


def _below(folder: str) -> Iterator[str]:
    """Return the nearest records; links to folders are followed where they are named only.

    Raises:
        OSError: of a folder that cannot be read, whose runs would be missing without a word.
    """

    def refuse(error: OSError) -> None:
        raise error

    for where, folders, files in os.walk(folder, onerror=refuse):
        if RECORD_NAME in files:
            folders.clear()
            yield os.path.join(where, RECORD_NAME)
        folders.sort()


@overload
def load_records(paths: Sequence[Path]) -> list[tuple[Path, Record]]: ...


@overload
def load_records(paths: Sequence[Path], kind: type[R]) -> list[tuple[Path, R]]: ...


def load_records(paths: Sequence[Path], kind: type[Record] = Record) -> list[tuple[Path, Any]]:
    """Read records in the order given.

    Args:
        paths: of the folders or files.
        kind: what all have to be; by default any kind will do.

    Raises:
        UserError: see :func:`.read_record`.
    """
    with without_garbage_collection():
        return [(path, read_record(path, kind)) for path in paths]
