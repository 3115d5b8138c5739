"""Folders of data, without what systems and tools hide in them."""

from __future__ import annotations

import contextlib
import itertools
import logging
import ntpath
import os
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

__all__ = ["files_below", "has_hidden_part", "is_hidden", "search", "walk"]

logger = logging.getLogger(__name__)

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

    The folder itself may be hidden: somebody has named it. Links are followed but for those that
    lead back to a folder that they are in, which is said.

    Args:
        folder: to begin with.
        follow_links: go into linked folders.
        on_hidden: is told the path of each file and folder that is left out as hidden.

    Raises:
        PermissionError: of a folder that may not be read, which would seem to be empty.
    """
    # by the path of a folder: where that and those above it are in truth
    places: dict[str, tuple[str, ...]] = {os.fspath(folder): (os.path.realpath(folder),)}
    for parent, folders, files in os.walk(folder, onerror=_refuse, followlinks=follow_links):
        for name in filter(is_hidden, (*folders, *files)):
            on_hidden(os.path.join(parent, name))
        folders[:] = [name for name in folders if not is_hidden(name)]
        if follow_links:
            above = places.pop(parent)
            for name in list(folders):
                path = os.path.join(parent, name)
                linked = os.path.islink(path)
                place = os.path.realpath(path) if linked else os.path.join(above[-1], name)
                if linked and any(_is_below(other, place) for other in above):
                    logger.warning("%s leads back to a folder that it is in; not followed", path)
                    folders.remove(name)
                else:
                    places[path] = (*above, place)
        yield parent, folders, [name for name in files if not is_hidden(name)]


def _is_below(path: str, folder: str) -> bool:
    return path == folder or path.startswith(os.path.join(folder, ""))


def files_below(root: str | Path, suffixes: Iterable[str]) -> list[str]:
    """Return the files whose names end so, in any case, relative to a folder; sorted. Links to
    folders are followed."""
    endings = tuple(suffixes)
    return sorted(
        os.path.relpath(os.path.join(parent, name), root)
        for parent, _, files in walk(root, follow_links=True)
        for name in files
        if name.lower().endswith(endings)
    )


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
