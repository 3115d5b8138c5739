"""From the name of a set and a folder to what is listed there."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from pathlib import Path

from robust_det.core.errors import UserError
from robust_det.data.transfer.catalogue import facts_of
from robust_det.data.transfer.listed import Listed
from robust_det.data.transfer.sets import (
    aircraft,
    birdsnap,
    caltech,
    cars,
    cifar,
    dtd,
    flowers,
    food,
    pets,
    sun397,
)
from robust_det.data.transfer.sets.folders import has_splits, read_folders, read_unsplit
from robust_det.data.transfer.sets.layout import Layout, base_of
from robust_det.data.transfer.sets.table import read_table

__all__ = ["MissingSetError", "bases_below", "read_set"]

_LAYOUTS: Mapping[str, tuple[Layout, ...]] = {
    "aircraft": aircraft.LAYOUTS,
    "birdsnap": birdsnap.LAYOUTS,
    "caltech101": caltech.LAYOUTS_101,
    "caltech256": caltech.LAYOUTS_256,
    "cars": cars.LAYOUTS,
    "cifar10": cifar.LAYOUTS_10,
    "cifar100": cifar.LAYOUTS_100,
    "dtd": dtd.LAYOUTS,
    "flowers": flowers.LAYOUTS,
    "food": food.LAYOUTS,
    "pets": pets.LAYOUTS,
    "sun397": sun397.LAYOUTS,
}


class MissingSetError(UserError):
    """No copy of a set is where it should be."""


def read_set(name: str, root: str | Path) -> Listed:
    """List the images of a set by its official files; else by folders of classes.

    Args:
        name: of the catalogue.
        root: the folder that holds the set, as it was unpacked, or as torchvision unpacks it; of
            ``csv``, the file.

    Raises:
        MissingSetError: it is not there; says where it comes from, and what is expected.
        FileError: a list is damaged.
        UserError: an unknown name.
    """
    facts = facts_of(name)
    root = Path(root).expanduser()
    if name == "csv" and root.exists():
        return read_table(root)
    if root.is_dir():
        layouts = _LAYOUTS.get(name, ())
        for layout in layouts:
            if base := base_of(layout, root):
                return layout.read(base)
        if base := next(filter(has_splits, bases_below(name, root)), None):
            return read_folders(base, name)
        if name == "folder":
            return read_unsplit(root, "")
        for layout in layouts:
            for base in layout.places(root):
                if layout.images and (base / layout.images).is_dir():
                    return read_unsplit(base, layout.images, tuple(layout.lacks(base)))
    there = "" if root.exists() else ", which is not there"
    lost = _lost(_LAYOUTS.get(name, ()), root)
    where = f"; its official source is {facts.source}" if facts.source else ""
    fetch = f"robust-det transfer-data check {name} {shlex.quote(str(root))} --download"
    more = f"; {fetch} fetches it" if facts.torchvision else ""
    if name == "folder" and root.is_file():
        raise MissingSetError(
            f"{root} is a file", "of a table of paths and labels, DATA.SET is csv"
        )
    raise MissingSetError(
        f"no {facts.title} in {root}{there}{lost}", f"expected: {facts.layout}{where}{more}"
    )


def bases_below(name: str, root: Path) -> list[Path]:
    """Return the folders in which the files of a set may lie, given the one that holds it."""
    layouts = _LAYOUTS.get(name, ())
    return [root, *(base for layout in layouts for base in layout.places(root)[1:])]


def _lost(layouts: tuple[Layout, ...], root: Path) -> str:
    """Say which files are missing where some are there."""
    for layout in layouts:
        for base in layout.places(root):
            lacks = layout.lacks(base)
            if len(lacks) < len(layout.needs):
                return f" (without {', '.join(lacks)})"
    return ""
