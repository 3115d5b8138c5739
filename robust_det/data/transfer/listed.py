"""What a copy of a set lists, before any image is opened."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

from robust_det.core.errors import FileError

__all__ = ["FOLDERS", "OFFICIAL", "TABLE", "UNSPLIT", "Item", "Listed", "check_path"]

OFFICIAL, FOLDERS, TABLE = "official", "folders", "table"
UNSPLIT = "unsplit"  # images of a set whose official lists are missing

Item = tuple[str, str]  # path below the base, with slashes, and class


@dataclass(frozen=True)
class Listed:
    """A copy of a set.

    Attributes:
        base: the folder that paths are relative to.
        layout: ``official``, ``folders``, ``table`` or ``unsplit``.
        classes: in their official order, which is the order of labels.
        splits: images by ``train``, ``val`` and ``test``, or by ``all``.
        notes: what was left out or decided, one sentence each.
        lacks: official lists that are not there.
        md5s: official MD5s of the images' files by path, where a list has them.
    """

    base: Path
    layout: str
    classes: tuple[str, ...]
    splits: Mapping[str, Sequence[Item]]
    notes: tuple[str, ...] = ()
    lacks: tuple[str, ...] = ()
    md5s: Mapping[str, str] = field(default_factory=dict)


def check_path(path: str) -> str:
    """Return a path with slashes.

    Raises:
        FileError: it leads out of the folder that it is relative to.
    """
    pure = PurePosixPath(path)
    if pure.is_absolute() or ".." in pure.parts:
        raise FileError(
            f"has the path {path}, which leads out of its folder", "use paths relative to it"
        )
    return pure.as_posix()
