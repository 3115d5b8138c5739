"""Which files of a folder of classes are images, and what else lies there."""

from __future__ import annotations

import os
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from torchvision.datasets.folder import IMG_EXTENSIONS

from robust_det.core.errors import UserError
from robust_det.data.walking import is_hidden, walk

__all__ = [
    "Listing",
    "class_folders",
    "images_below",
    "is_image",
    "left_out",
    "listing_of",
    "suffix_of",
]

# torchvision's, and the other names of JPEG
_SUFFIXES = (*IMG_EXTENSIONS, ".jfif", ".jpe")
_SHOWN = 6


@dataclass(frozen=True)
class Listing:
    """What lies below a class folder.

    Attributes:
        paths: of the images, relative to the folder of the split; sorted.
        others: how many files have which other suffix, in small letters with its dot.
        folders: its own sub-folders, if all of its images are in several of them.
    """

    paths: list[bytes]
    others: Counter[str]
    folders: tuple[str, ...]


def class_folders(folder: Path) -> tuple[list[str], list[str]]:
    """Return the names of the class folders, sorted, and of the files that lie beside them.

    Raises:
        UserError: none in it, or a link that leads nowhere.
    """
    entries = [entry for entry in os.scandir(folder) if not is_hidden(entry.name)]
    names = sorted(entry.name for entry in entries if entry.is_dir())
    files = sorted(entry.name for entry in entries if not entry.is_dir())
    # whose class would be missing without a word
    if lost := [name for name in files if not os.path.exists(folder / name)]:
        raise UserError(f"{folder / lost[0]} is a link that leads nowhere; mend or remove it")
    if not names:
        raise UserError(f"{folder} holds no class folders; images belong into {folder}/<class>/")
    return names, files


def images_below(folder: Path) -> Listing:
    """List the images below a class folder, see :func:`listing_of`.

    Raises:
        UserError: there are none.
    """
    found = listing_of(folder)
    if not found.paths:
        also = f" ({left_out(found.others)} are there)" if found.others else ""
        raise UserError(
            f"class folder {folder} holds no images{also}; add some, or remove the class from"
            " train and val"
        )
    return found


def listing_of(folder: Path) -> Listing:
    """List what lies below a class folder, linked folders included, without a stat of each."""
    paths: list[bytes] = []
    others: Counter[str] = Counter()
    within: dict[str, None] = {}
    for parent, _, names in walk(folder, follow_links=True):
        below = os.path.relpath(parent, folder.parent)
        images = [name for name in names if is_image(name)]
        paths += [os.fsencode(os.path.join(below, name)) for name in images]
        if images:
            within[os.path.relpath(parent, folder).split(os.sep)[0]] = None
        if len(images) < len(names):
            others.update(suffix_of(name) for name in set(names).difference(images))
    folders = () if os.curdir in within or len(within) < 2 else tuple(sorted(within))
    return Listing(sorted(paths), others, folders)


def left_out(others: Counter[str]) -> str:
    """Return how many files have which suffix, in words."""
    # the same words each time: ties come in the order of a set, which a process draws anew
    ordered = sorted(others.items(), key=lambda item: (-item[1], item[0]))
    shown = [f"{n} {suffix or 'without a suffix'}" for suffix, n in ordered[:_SHOWN]]
    rest = sum(n for _, n in ordered[_SHOWN:])
    return ", ".join([*shown, f"{rest} others"] if rest else shown)


def is_image(name: str) -> bool:
    """Return whether a file of this name is read as an image."""
    return name.lower().endswith(_SUFFIXES)


def suffix_of(name: str) -> str:
    """Return what a file's name ends with, in small letters with its dot."""
    return os.path.splitext(name)[1].lower()
