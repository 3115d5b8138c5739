"""Many records: where they are, and what they say."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar, overload

from robust_det.core.errors import UserError
from robust_det.core.memory import without_garbage_collection
from robust_det.records.base import Record
from robust_det.records.record_file import RECORD_NAME, read_record

__all__ = ["Found", "Readable", "find_records", "load_readable", "load_records"]

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
    records: dict[_Key, Path] = {}
    without: list[Path] = []
    deeper: dict[_Key, Path] = {}
    for given in map(Path, paths):
        if not given.is_dir():
            records.setdefault(_key(str(given)), given)
            continue
        found = False
        for name, inner in _below(str(given)):
            found = True
            records.setdefault(_key(name), Path(name))
            deeper |= {_key(one): Path(one) for one in inner}
        if not found:
            without.append(given)
    unasked = tuple(path for key, path in deeper.items() if key not in records)
    return Found(tuple(records.values()), tuple(dict.fromkeys(without)), unasked)


_Key = tuple[int, int] | str  # device and inode, or the path of what is not there


def _key(path: str) -> _Key:
    """What two paths to one file have in common."""
    try:
        status = os.stat(path)
    except OSError:
        return path
    return status.st_dev, status.st_ino


def _below(folder: str) -> Iterator[tuple[str, list[str]]]:
    """Yield the nearest records, each with those in the folders beside it; links to folders are
    followed where they are named only.

    Raises:
        OSError: of a folder that cannot be read, whose runs would be missing without a word.
    """

    def refuse(error: OSError) -> None:
        raise error

    for where, folders, files in os.walk(folder, onerror=refuse):
        folders.sort()
        if RECORD_NAME in files:
            inner = [os.path.join(where, one, RECORD_NAME) for one in folders]
            folders.clear()
            yield os.path.join(where, RECORD_NAME), list(filter(os.path.exists, inner))


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


def load_readable(
    paths: Sequence[Path],
) -> tuple[list[tuple[Path, Record]], list[tuple[Path, UserError]]]:
    """Read the records that can be read, in the order given.

    Args:
        paths: of the folders or files.

    Returns:
        The records with their paths, and the others with what is wrong.
    """
    unreadable: list[tuple[Path, UserError]] = []
    with without_garbage_collection():
        records = list(Readable(paths, lambda *found: unreadable.append(found)))
    return records, unreadable


class Readable:
    """The records that can be read, in the order given, read one by one as they are gone through.

    None is kept: ten thousand take most of a GB, and to get that memory takes as long as to read
    them. Whoever goes through them twice reads twice.

    Args:
        paths: of the folders or files.
        told: is given each path that cannot be read and what is wrong, once.

    Attributes:
        complete: whether all have been read, as far as they have been gone through.
    """

    def __init__(self, paths: Sequence[Path], told: Callable[[Path, UserError], object]) -> None:
        self._paths = paths
        self._told = told
        self._unreadable: set[Path] = set()

    @property
    def complete(self) -> bool:
        return not self._unreadable

    def __iter__(self) -> Iterator[tuple[Path, Record]]:
        for path in self._paths:
            try:
                record = read_record(path)
            except UserError as error:
                if path not in self._unreadable:
                    self._unreadable.add(path)
                    self._told(path, error)
                continue
            yield path, record
