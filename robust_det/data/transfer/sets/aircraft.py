"""FGVC-Aircraft, by variant."""

from __future__ import annotations

from pathlib import Path

from robust_det.core.errors import FileError
from robust_det.data.transfer.catalogue import SPLITS
from robust_det.data.transfer.listed import OFFICIAL, Item, Listed
from robust_det.data.transfer.sets.layout import Layout, text_lines

__all__ = ["LAYOUTS"]


def _read(base: Path) -> Listed:
    # names have spaces and slashes
    classes = tuple(text_lines(base / "variants.txt"))
    splits = {split: _images(base / f"images_variant_{split}.txt") for split in SPLITS}
    return Listed(base, OFFICIAL, classes, splits)


def _images(path: Path) -> list[Item]:
    items = []
    for line in text_lines(path):
        number, _, variant = line.partition(" ")
        if not variant:
            raise FileError(f"has a line without a variant: {line}", source=str(path))
        items.append((f"images/{number}.jpg", variant))
    return items


LAYOUTS = (
    Layout(
        ("data", "fgvc-aircraft-2013b/data", "fgvc-aircraft-2013b"),
        (("variants.txt",), *((f"images_variant_{split}.txt",) for split in SPLITS)),
        _read,
    ),
)
