"""Data sets in COCO format: registered from config keys, checked before a run, fingerprinted."""

from __future__ import annotations

import functools
import json
import math
import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from detectron2.data import DatasetCatalog, MetadataCatalog
from detectron2.data.datasets import register_coco_instances

from robust_det.errors import UserError, did_you_mean
from robust_det.records import sha256_file

__all__ = ["DatasetFacts", "describe_dataset", "number_of_classes", "register_custom"]

_FIELDS = ("NAME", "JSON", "IMAGES")
# a name becomes a folder, and a part of dotted names in records
_NAME = re.compile(r"[\w-]+")
_registered: dict[str, tuple[str, str]] = {}


@dataclass(frozen=True)
class DatasetFacts:
    """What is known about a data set.

    Attributes:
        name: as registered.
        images, annotations: how many.
        classes: names in the order of their ids.
        sha256: of the annotation file.
        masks: how objects outside of crowds are outlined: ``none`` if any of them is not,
            ``rle`` if any is run-length encoded, ``polygon`` otherwise.
    """

    name: str
    images: int
    annotations: int
    classes: tuple[str, ...]
    sha256: str
    masks: str

    def plain(self) -> dict[str, Any]:
        """Return the facts for a record; classes as their number."""
        return {
            "name": self.name,
            "images": self.images,
            "annotations": self.annotations,
            "classes": len(self.classes),
            "sha256": self.sha256,
        }


def _located(path: str) -> str:
    """Expand ``~`` and ``$VARIABLES``; a relative path is below ``$DETECTRON2_DATASETS``."""
    expanded = Path(os.path.expandvars(path)).expanduser()
    root = os.environ.get("DETECTRON2_DATASETS", "datasets")
    return str(expanded if expanded.is_absolute() else Path(root) / expanded)


def register_custom(entries: Sequence[Mapping[str, str]]) -> None:
    """Register the data sets of ``DATASETS.CUSTOM``.

    Args:
        entries: mappings with ``NAME``, ``JSON`` (COCO annotations) and ``IMAGES`` (folder).
            Relative paths are below ``$DETECTRON2_DATASETS``, by default ``datasets/``, as those
            of Detectron2's own data sets.

    Raises:
        UserError: an entry lacks a field, has an unknown one, or takes a name that is in use.
    """
    for entry in entries:
        if (
            not isinstance(entry, Mapping)
            or set(entry) != set(_FIELDS)
            or not all(isinstance(value, str) and value for value in entry.values())
        ):
            raise UserError(
                f"each entry of DATASETS.CUSTOM needs {', '.join(_FIELDS)}; got {entry}"
            )
        if not _NAME.fullmatch(entry["NAME"]):
            raise UserError(
                f"the data set name '{entry['NAME']}' in DATASETS.CUSTOM may hold only letters,"
                " digits, '_' and '-'"
            )
        name, place = entry["NAME"], (_located(entry["JSON"]), _located(entry["IMAGES"]))
        if _registered.get(name) == place:
            continue
        if name in _registered or name in DatasetCatalog.list():
            raise UserError(
                f"the data set name '{name}' is in use; choose another in DATASETS.CUSTOM"
            )
        register_coco_instances(name, {}, *place)
        _registered[name] = place


def describe_dataset(name: str) -> DatasetFacts:
    """Check a registered data set on disk and return its facts.

    Raises:
        UserError: unknown name, missing or broken annotations, no images, or images that the
            annotations list and the folder lacks.
    """
    known = list(DatasetCatalog.list())
    if name not in known:
        raise UserError(
            f"unknown data set '{name}'{did_you_mean(name, known)};"
            " your own are named in DATASETS.CUSTOM"
        )
    metadata = MetadataCatalog.get(name)
    if not hasattr(metadata, "json_file"):
        raise UserError(
            f"data set '{name}' is not in COCO format, which is what this version reads"
        )
    return _describe(name, metadata.json_file, metadata.image_root)


@functools.cache
def _describe(name: str, json_file: str, image_root: str) -> DatasetFacts:
    if not Path(json_file).is_file():
        raise UserError(
            f"data set '{name}' has no annotations at {json_file};"
            " set DETECTRON2_DATASETS to the folder that holds your data sets"
        )
    try:
        content = json.loads(Path(json_file).read_bytes())
        images, annotations = content["images"], content["annotations"]
        categories = sorted(content["categories"], key=lambda c: c["id"])
        classes = tuple(str(c["name"]) for c in categories)
        files = [str(image["file_name"]) for image in images]
        problem = _problem(images, annotations, {c["id"] for c in categories})
    except KeyError as error:
        raise UserError(
            f"annotations {json_file} are not in COCO format: an entry lacks {error}"
        ) from error
    except (OSError, ValueError, TypeError, RecursionError) as error:
        raise UserError(
            f"annotations {json_file} are not in COCO format ({type(error).__name__}: {error})"
        ) from error
    if problem:
        raise UserError(f"annotations {json_file} {problem}")
    if not Path(image_root).is_dir():
        raise UserError(f"data set '{name}' has no image folder {image_root}")
    present = set(os.listdir(image_root))
    lacking = [
        f for f in files if f not in present and not ("/" in f and Path(image_root, f).is_file())
    ]
    if lacking:
        raise UserError(
            f"data set '{name}' lacks {len(lacking)} of its {len(files)} images in {image_root}"
            f" (first: {lacking[0]})"
        )
    return DatasetFacts(
        name, len(files), len(annotations), classes, sha256_file(json_file), _masks(annotations)
    )


def _problem(
    images: Sequence[Mapping[str, Any]],
    annotations: Sequence[Mapping[str, Any]],
    categories: set[Any],
) -> str:
    """Say what would stop a run hours later, when Detectron2 or pycocotools meets it.

    Raises:
        KeyError, TypeError, ValueError: the entries are not those of COCO.
    """
    ids = {image["id"] for image in images}
    if not images or not annotations:
        return f"list no {'annotations' if images else 'images'}"
    if len(ids) < len(images) or len({a["id"] for a in annotations}) < len(annotations):
        return "give one id to several images or annotations"
    for image in images:
        if not (image["width"] > 0 and image["height"] > 0):
            return f"give image {image['id']} a size of {image['width']} x {image['height']}"
    for what, key, known in (
        ("images", "image_id", ids),
        ("categories", "category_id", categories),
    ):
        strays = sum(a[key] not in known for a in annotations)
        if strays:
            return f"have {strays} boxes of {what} they do not list"
    for a in annotations:
        # pycocotools reads the last two, of every object
        x, y, width, height = map(float, a["bbox"])
        if not (math.isfinite(x + y + float(a["area"])) and width >= 0 and height >= 0):
            return f"give annotation {a['id']} the box {a['bbox']} and the area {a['area']}"
        if a["iscrowd"] not in (0, 1):
            return f"give annotation {a['id']} iscrowd {a['iscrowd']}"
    return ""


def _masks(annotations: Sequence[Mapping[str, Any]]) -> str:
    outlines = [a.get("segmentation") for a in annotations if not a["iscrowd"]]
    if not all(outlines):
        return "none"
    return "rle" if any(isinstance(outline, Mapping) for outline in outlines) else "polygon"


def number_of_classes(names: Sequence[str]) -> int:
    """Return the number of classes that the data sets share.

    Raises:
        UserError: they differ in classes.
    """
    facts = [describe_dataset(name) for name in names]
    for other in facts[1:]:
        if other.classes != facts[0].classes:
            raise UserError(
                f"data sets '{facts[0].name}' and '{other.name}' differ in their classes"
            )
    return len(facts[0].classes)
