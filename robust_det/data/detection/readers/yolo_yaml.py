"""The ``data.yaml`` of a YOLO folder, as Ultralytics reads it."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import yaml

from robust_det.core.errors import UserError, reason_of
from robust_det.data.detection.checking.listing import Listing
from robust_det.data.detection.checking.report import Report
from robust_det.data.detection.readers.texts import read_text
from robust_det.data.detection.readers.yolo_images import images_at
from robust_det.data.detection.source import NoSuchSplit
from robust_det.data.walking import is_hidden

__all__ = ["read_yaml", "yaml_files"]

_SPLITS = ("train", "val", "test", "validation")


def yaml_files(folder: Path) -> tuple[list[Path], list[Path]]:
    """Return the files in a folder that describe data, ``data.yaml`` alone if it is there, and the
    other files in YAML."""
    found = sorted(
        file
        for file in folder.iterdir()
        if file.suffix.lower() in (".yaml", ".yml") and not is_hidden(file.name)
    )
    named = [file for file in found if file.name == "data.yaml"] or [
        file for file in found if _describes_data(file)
    ]
    return named, [file for file in found if file not in named]


def _describes_data(path: Path) -> bool:
    try:
        raw = yaml.safe_load(read_text(path))
    except (yaml.YAMLError, OSError, ValueError, RecursionError):
        return False
    return isinstance(raw, dict) and (
        isinstance(raw.get("names"), (list, dict))
        or any(isinstance(raw.get(key), (str, list)) for key in _SPLITS)
    )


def read_yaml(
    path: Path, split: str, name: str, classes: tuple[str, ...], report: Report
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return the images and the classes that a file names for a split.

    Args:
        path: a mapping with a folder, a list or several of them for each split, and ``names``.
        split, name, classes, report: see :func:`~.yolo_layout.read_layout`.

    Raises:
        UserError: it is not such a mapping, or has no such split or no names.
    """
    try:
        loader = yaml.SafeLoader(read_text(path, report))
        tree = loader.get_single_node()
        raw = loader.construct_document(tree) if tree else None
    except (yaml.YAMLError, OSError, ValueError, RecursionError) as error:
        raise UserError(
            f"data set '{name}': {path} is not plain YAML: {reason_of(error)}"
        ) from error
    if not isinstance(raw, dict):
        raise UserError(f"data set '{name}': {path} is not a mapping of keys to values")
    if raw.get("kpt_shape"):
        raise UserError(f"data set '{name}': {path} describes poses; boxes and masks are read")
    root = path.parent / str(raw.get("path") or ".").replace("\\", "/")
    if not os.path.isdir(root):
        # a path of the machine it was made on; Ultralytics looks below a folder of its settings
        root = path.parent
    images: list[str] = []
    for place in _places(raw, split, path, name):
        images += images_at(_resolved(place, root, path.parent), root, name, report)
    return tuple(images), classes or _classes(raw, tree, path, name)


def _places(raw: dict[str, Any], split: str, path: Path, name: str) -> list[str]:
    value = raw.get(split) or (raw.get("validation") if split == "val" else None)
    places = [p for p in (value if isinstance(value, list) else [value]) if isinstance(p, str)]
    if not places:
        known = ", ".join(key for key in _SPLITS if raw.get(key))
        raise NoSuchSplit(
            f"data set '{name}': {path} names no images for '{split}'"
            + (f", only for {known}" if known else "")
        )
    return places


def _resolved(place: str, root: Path, beside: Path) -> Path:
    # os.path, here and below: a Path raises for a name that is too long, and this is any text
    folders, listing = dict.fromkeys((str(root), str(beside))), Listing()
    candidates = [(folder, place) for folder in folders]
    if parts := place.replace("\\", "/").removeprefix("../"):
        # as one exporter writes what lies beside the file
        candidates.append((str(root), parts))
    for folder, wanted in candidates:
        path = os.path.join(folder, wanted)
        if os.path.exists(path):
            return Path(path)
        found = listing.find(folder, wanted)
        if len(found) == 1:
            return Path(folder, found[0])
    return root / place


def _classes(raw: dict[str, Any], tree: Any, path: Path, name: str) -> tuple[str, ...]:
    # as they are written: a class may be called no, and a number may be there twice
    node = next((value for key, value in tree.value if key.value == "names"), None)
    names, count = [], raw.get("nc")
    if isinstance(node, yaml.MappingNode):
        # some write the numbers as text
        pairs = [(key.value, value.value) for key, value in node.value]
        numbered = sorted((int(key), one) for key, one in pairs if str(key).isdecimal())
        if [number for number, _ in numbered] != list(range(len(pairs))):
            raise UserError(f"data set '{name}': the names in {path} need the numbers from 0 on")
        names = [one for _, one in numbered]
    elif isinstance(node, yaml.SequenceNode):
        names = [one.value for one in node.value]
    elif raw.get("names") is None and isinstance(count, int) and count > 0:
        names = [f"class{number}" for number in range(count)]
    if not names or not all(isinstance(one, str) for one in names):
        raise UserError(f"data set '{name}': {path} needs names, a list of the classes")
    if type(count) is int and count != len(names):
        raise UserError(
            f"data set '{name}': {path} says nc: {count}, and names {len(names)} classes"
        )
    return tuple(names)
