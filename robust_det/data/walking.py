"""Folders of data, without what systems and tools hide in them."""

from __future__ import annotations

import contextlib
import itertools
import ntpath
import os
from collections.abc import Callable, Iterator
from pathlib import Path

__all__ = ["has_hidden_part", "is_hidden", "search", "walk"]

# what Windows, macOS and network disks put among files without a dot before its name
_HIDDEN = frozenset(
    ("thumbs.db", "ehthumbs.db", "desktop.ini", "__macosx", "@eadir", "$recycle.bin")
)
_MOST_FOLDERS = 5000


def is_hidden(name: str) -> bool:
    """Return whether a file or folder of this name is never data, such as ``._a.jpg``."""
    return name.startswith(".") or name.lower() in _HIDDEN


def has_hidden_part(path: str) -> bool:
    """Return whether a path has a hidden part; of an absolute one the name alone counts, as
    somebody may keep data in a hidden folder."""
    if "/" not in path and "\\" not in path:
        return is_hidden(path)  # there are 100,000 of them
    parts = path.replace("\\", "/").split("/")
    if os.path.isabs(path) or ntpath.splitdrive(path)[0]:
        parts = parts[-1:]
    return any(is_hidden(part) for part in parts if part not in ("", ".", ".."))


def walk(
    folder: str | Path,
    follow_links: bool = False,
    on_hidden: Callable[[str], object] = lambda path: None,
) -> Iterator[tuple[str, list[str], list[str]]]:
    """Do what :func:`os.walk` does, without anything hidden.

    The folder itself may be hidden: somebody has named it.

    Args:
        folder: to begin with.
        follow_links: go into linked folders, but into none that the way there came through.
        on_hidden: is told the path of each file and folder that is left out as hidden.

    Raises:
        PermissionError: of a folder that may not be read, which would seem to be empty.
    """
    # the folders, without links, on the way to each that is still to come
    ways: dict[str, tuple[str, ...]] = {str(folder): (os.path.realpath(folder),)}
    for parent, folders, files in os.walk(str(folder), onerror=_refuse, followlinks=follow_links):
        for name in filter(is_hidden, (*folders, *files)):
            on_hidden(os.path.join(parent, name))
        folders[:] = [name for name in folders if not is_hidden(name)]
        if follow_links:
            way = ways.pop(parent)
            for name in list(folders):
                path = os.path.join(parent, name)
                real = os.path.realpath(path) if os.path.islink(path) else f"{way[-1]}/{name}"
                if real in way:
                    folders.remove(name)
                ways[path] = (*way, real)
        yield parent, folders, [name for name in files if not is_hidden(name)]


def search(folder: str, name: str) -> list[str]:
    """Return folders in which a file of that name lies, for a message; of many, the first few
    thousand are looked at."""
    with contextlib.suppress(PermissionError):
        looked = itertools.islice(walk(folder), _MOST_FOLDERS)
        return [parent for parent, _, files in looked if name in files]
    return []


def _refuse(error: OSError) -> None:
    if isinstance(error, PermissionError):
        raise error
