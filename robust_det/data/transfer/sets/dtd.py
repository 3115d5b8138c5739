"""DTD, the first of its ten splits."""

from __future__ import annotations

from pathlib import Path

from robust_det.core.errors import FileError
from robust_det.data.transfer.catalogue import SPLITS
from robust_det.data.transfer.listed import OFFICIAL, Item, Listed
from robust_det.data.transfer.sets.layout import Layout, text_lines

__all__ = ["LAYOUTS"]


def _read(base: Path) -> Listed:
    splits = {split: _images(base / f"labels/{split}1.txt") for split in SPLITS}
    classes = sorted({name for items in splits.values() for _, name in items})
    return Listed(base, OFFICIAL, tuple(classes), splits)


def _images(path: Path) -> list[Item]:
    lines = text_lines(path)
    if odd := [line for line in lines if "/" not in line]:
        raise FileError(f"has a line without a class: {odd[0]}", source=str(path))
    return [(f"images/{line}", line.partition("/")[0]) for line in lines]


LAYOUTS = (
    Layout(
        ("dtd", "dtd/dtd"),
        tuple((f"labels/{split}1.txt",) for split in SPLITS),
        _read,
        images="images",
    ),
)
