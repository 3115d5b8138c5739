"""Birdsnap 1.1: what is not in the list of test images is for training."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from pathlib import Path

from robust_det.core.errors import FileError
from robust_det.data.transfer.listed import OFFICIAL, Listed
from robust_det.data.transfer.sets.layout import Layout, first_of, text_lines

__all__ = ["LAYOUTS"]


def _read(base: Path) -> Listed:
    folder = first_of(base, "images", "download/images")
    below = folder.relative_to(base).as_posix() if folder else "images"
    species = {row["id"]: row["dir"] for row in _rows(base / "species.txt", "id", "dir")}
    test = {row["path"] for row in _rows(base / "test_images.txt", "path")}
    splits: dict[str, list[tuple[str, str]]] = {"train": [], "test": []}
    md5s = {}
    for row in _rows(base / "images.txt", "path", "species_id", "md5"):
        if row["species_id"] not in species:
            raise FileError(
                f"has the species {row['species_id']}, which species.txt has not",
                source=str(base / "images.txt"),
            )
        split = "test" if row["path"] in test else "train"
        path = f"{below}/{row['path']}"
        splits[split].append((path, species[row["species_id"]]))
        md5s[path] = row["md5"]
    return Listed(base, OFFICIAL, tuple(species.values()), splits, md5s=md5s)


def _rows(path: Path, *columns: str) -> Iterator[dict[str, str]]:
    reader = csv.DictReader(text_lines(path), delimiter="\t", quoting=csv.QUOTE_NONE)
    if lost := [name for name in columns if name not in (reader.fieldnames or ())]:
        raise FileError(f"has no column '{lost[0]}'", "take the official file", str(path))
    for row in reader:
        if any(row[name] is None for name in columns):
            raise FileError("has a row that ends early", "take the official file", str(path))
        yield row


LAYOUTS = (
    Layout(
        ("birdsnap",),
        (("images.txt",), ("species.txt",), ("test_images.txt",)),
        _read,
        images="images",
    ),
)
