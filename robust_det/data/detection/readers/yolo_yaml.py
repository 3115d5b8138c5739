"""Which images and classes a YOLO folder has: its ``data.yaml``, or folders and ``classes.txt``."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from robust_det.core.errors import UserError
from robust_det.data.detection.checking.images import SUFFIXES

__all__ = ["YoloSplit", "read_layout"]

_NAME_LISTS = ("classes.txt", "obj.names", "classes.names")


@dataclass(frozen=True)
class YoloSplit:
    """The images of a split as absolute paths, sorted or as listed, and the classes."""

    images: tuple[str, ...]
    classes: tuple[str, ...]


def read_layout(path: Path, split: str, name: str, classes: tuple[str, ...] = ()) -> YoloSplit:
    """Find the images and the classes of a split, as Ultralytics does.

    Args:
        path: a ``data.yaml``, or a folder with one; or one with ``images/SPLIT`` or
            ``SPLIT/images`` and, unless ``classes`` are given, ``classes.txt``.
        split: a key of the file, such as ``train``.
        name: of the data set, for messages.
        classes: names in the order of their ids, in place of those of the file.

    Raises:
        UserError: no such file, folder, split, or no names.
    """
    if os.path.isdir(path):
        files = [path / "data.yaml"] if (path / "data.yaml").is_file() else _yaml_files(path)
        if len(files) > 1:
            listed = ", ".join(file.name for file in files)
            raise UserError(f"data set '{name}': {path} holds {listed}; name one of them")
        if not files:
            return YoloSplit(
                _images(_folder(path, split, name), path, name), classes or _names(path, name)
            )
        path = files[0]
    if not os.path.isfile(path):
        raise UserError(
            f"data set '{name}' has no {path};"
            " set DETECTRON2_DATASETS to the folder that holds your data sets"
        )
    try:
        raw = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (yaml.YAMLError, OSError, ValueError, RecursionError) as error:
        raise UserError(f"data set '{name}': {path} is not plain YAML: {_flat(error)}") from error
    if not isinstance(raw, dict):
        raise UserError(f"data set '{name}': {path} is not a mapping of keys to values")
    if raw.get("kpt_shape"):
        raise UserError(f"data set '{name}': {path} describes poses; boxes and masks are read")
    root = path.parent / str(raw.get("path") or ".")
    if not os.path.isdir(root):
        # a path of the machine it was made on; Ultralytics looks below a folder of its settings
        root = path.parent
    images: list[str] = []
    for place in _places(raw, split, path, name):
        images += _images(_resolved(place, root, path.parent), root, name)
    return YoloSplit(tuple(images), classes or _classes(raw, path, name))


def _yaml_files(folder: Path) -> list[Path]:
    return sorted(f for f in folder.iterdir() if f.suffix.lower() in (".yaml", ".yml"))


def _places(raw: dict[str, Any], split: str, path: Path, name: str) -> list[str]:
    value = raw.get(split) or (raw.get("validation") if split == "val" else None)
    places = [p for p in (value if isinstance(value, list) else [value]) if isinstance(p, str)]
    if not places:
        known = [key for key in ("train", "val", "test") if raw.get(key)]
        raise UserError(
            f"data set '{name}': {path} names no images for '{split}', only for {', '.join(known)}"
        )
    return places


def _resolved(place: str, root: Path, beside: Path) -> Path:
    # os.path, here and below: a Path raises for a name that is too long, and this is any text
    candidates = [root / place, beside / place]
    if place.startswith("../"):
        # as one exporter writes what lies beside the file
        candidates.append(root / place.removeprefix("../"))
    return next((c for c in candidates if os.path.exists(c)), candidates[0])


def _folder(path: Path, split: str, name: str) -> Path:
    for folder in (path / "images" / split, path / split / "images", path / split):
        if os.path.isdir(folder):
            return folder
    raise UserError(
        f"data set '{name}': {path} holds neither data.yaml nor images/{split} or {split}/images"
    )


def _images(place: Path, root: Path, name: str) -> tuple[str, ...]:
    if os.path.isdir(place):
        found = (
            os.path.join(folder, file)
            for folder, _, files in os.walk(place, followlinks=True)
            for file in files
            if Path(file).suffix.lower() in SUFFIXES
        )
        return tuple(sorted(os.path.abspath(file) for file in found))
    if not os.path.isfile(place):
        raise UserError(
            f"data set '{name}' has no images at {place}; mend the paths in its YAML file"
        )
    if place.suffix.lower() in SUFFIXES:
        return (os.path.abspath(place),)
    try:
        lines = [line.strip() for line in place.read_text(encoding="utf-8").splitlines()]
    except (OSError, ValueError) as error:
        raise UserError(f"data set '{name}': cannot read {place}: {_flat(error)}") from error
    return tuple(_listed(line, place.parent, root) for line in lines if line)


def _listed(line: str, beside: Path, root: Path) -> str:
    """Return an image of a list: absolute, beside the list, or below the root."""
    places = [os.path.abspath(folder / line) for folder in (beside, root)]
    return next((p for p in places if os.path.isfile(p)), places[0])


def _classes(raw: dict[str, Any], path: Path, name: str) -> tuple[str, ...]:
    names, count = raw.get("names"), raw.get("nc")
    if isinstance(names, dict):
        if sorted(names, key=str) != sorted(range(len(names)), key=str):
            raise UserError(f"data set '{name}': the names in {path} need the numbers from 0 on")
        names = [names[number] for number in range(len(names))]
    if names is None and isinstance(count, int) and count > 0:
        names = [f"class{number}" for number in range(count)]
    if not isinstance(names, list) or not names:
        raise UserError(f"data set '{name}': {path} needs names, a list of the classes")
    return tuple(str(one) for one in names)


def _names(path: Path, name: str) -> tuple[str, ...]:
    for file in (path / one for one in _NAME_LISTS):
        if os.path.isfile(file):
            lines = file.read_text(encoding="utf-8", errors="replace").splitlines()
            if names := tuple(line.strip() for line in lines if line.strip()):
                return names
    raise UserError(
        f"data set '{name}': {path} has no names of classes; add CLASSES, data.yaml or classes.txt"
    )


def _flat(error: Exception) -> str:
    return " ".join(str(error).split())
