"""The embedded synthetic data set: what ``make demo`` and the tests train on.

Two forms of one seeded generator, as real image files: an ImageFolder tree of single shapes to
pretrain on, and a COCO data set of scenes to fine-tune on. Nothing is downloaded.
"""

from __future__ import annotations

import fcntl
import json
import logging
import os
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from robust_det.core.errors import UserError, did_you_mean
from robust_det.data.synthetic.polygons import mask_to_polygons
from robust_det.data.synthetic.shapes import SHAPES, Image, draw_object_scene, draw_single_shape

__all__ = ["CATEGORY_IDS", "CLASSES", "STAMP_NAME", "write_classification", "write_coco"]

logger = logging.getLogger(__name__)

CLASSES: tuple[str, ...] = tuple(SHAPES)
# With gaps, as in COCO itself: whoever confuses ids with class indices is found out early.
CATEGORY_IDS: dict[str, int] = dict(zip(CLASSES, (1, 2, 4, 5, 7, 8, 11, 13), strict=True))
STAMP_NAME = "synthetic.json"
_VERSION = 1  # raise it when the same parameters begin to give other pictures


def write_classification(
    root: str | Path,
    *,
    classes: Sequence[str] = CLASSES,
    train_per_class: int = 100,
    val_per_class: int = 20,
    size: int = 48,
    seed: int = 0,
) -> bool:
    """Write ImageFolder trees ``train/<class>/*.png`` and ``val/<class>/*.png``.

    Args:
        root: the folder to make. A finished set with the same parameters is left as it is.
        classes: shape names out of :data:`CLASSES`.
        train_per_class, val_per_class: images per class, at least 1.
        size: height and width in pixels, at least 16.
        seed: 0 or more. An image depends on seed, split, class and number alone, so a larger set
            contains the smaller one.

    Returns:
        True if the set was written, False if it was there already.

    Raises:
        UserError: a parameter out of range, ``root`` holds something else, or the disk is full.
    """
    _check(train_per_class=train_per_class, val_per_class=val_per_class, seed=seed + 1)
    if size < 16:
        raise UserError(f"synthetic classification images need a size of 16 or more, not {size}")
    if not classes:
        raise UserError("a synthetic data set needs at least one class")
    for name in classes:
        if name not in SHAPES:
            raise UserError(f"there is no shape '{name}'{did_you_mean(name, SHAPES)}")
    names = list(dict.fromkeys(classes))
    counts = {"train": train_per_class, "val": val_per_class}
    parameters = {
        "form": "classification",
        "version": _VERSION,
        "classes": names,
        "train_per_class": train_per_class,
        "val_per_class": val_per_class,
        "size": size,
        "seed": seed,
    }

    def fill(folder: Path) -> None:
        for split, (part, count) in enumerate(counts.items()):
            for name in names:
                (folder / part / name).mkdir(parents=True)
                for number in range(count):
                    rng = np.random.default_rng([seed, 0, split, CLASSES.index(name), number])
                    image = draw_single_shape(rng, name, size)
                    _save(folder / part / name / f"{number:05d}.png", image)

    return _write_once(Path(root), parameters, fill)


def write_coco(
    root: str | Path,
    *,
    train_images: int = 160,
    val_images: int = 40,
    size: int = 160,
    seed: int = 0,
) -> bool:
    """Write a COCO data set: ``train/``, ``val/``, ``annotations/instances_{train,val}.json``.

    An image shows 1 to 5 shapes that may lie over each other. Masks are the visible part as
    polygons; ``bbox`` ``[x, y, width, height]`` and ``area`` are those of the mask, in pixels.

    Args:
        root: the folder to make. A finished set with the same parameters is left as it is.
        train_images, val_images: at least 1.
        size: height and width in pixels, at least 64.
        seed: 0 or more.

    Returns:
        True if the set was written, False if it was there already.

    Raises:
        UserError: a parameter out of range, ``root`` holds something else, or the disk is full.
    """
    _check(train_images=train_images, val_images=val_images, seed=seed + 1)
    if size < 64:
        raise UserError(f"synthetic scenes need a size of 64 or more, not {size}")
    parameters = {
        "form": "coco",
        "version": _VERSION,
        "train_images": train_images,
        "val_images": val_images,
        "size": size,
        "seed": seed,
    }

    def fill(folder: Path) -> None:
        (folder / "annotations").mkdir(parents=True)
        for split, (part, count) in enumerate({"train": train_images, "val": val_images}.items()):
            (folder / part).mkdir()
            document = _coco_split(folder / part, split, count, size, seed)
            path = folder / "annotations" / f"instances_{part}.json"
            path.write_text(json.dumps(document, separators=(",", ":")))

    return _write_once(Path(root), parameters, fill)


def _coco_split(folder: Path, split: int, count: int, size: int, seed: int) -> dict[str, Any]:
    images: list[dict[str, Any]] = []
    annotations: list[dict[str, Any]] = []
    for number in range(count):
        rng = np.random.default_rng([seed, 1, split, number])
        shapes = [CLASSES[i] for i in rng.integers(0, len(CLASSES), rng.integers(1, 6))]
        picture, objects = draw_object_scene(rng, shapes, size)
        # ids and names differ between the splits, as they do in COCO
        image_id = (split + 1) * 1_000_000 + number
        name = f"{image_id:012d}.png"
        _save(folder / name, picture)
        images.append({"id": image_id, "file_name": name, "width": size, "height": size})
        for thing in objects:
            rows = np.flatnonzero(thing.visible.any(axis=1))
            columns = np.flatnonzero(thing.visible.any(axis=0))
            x, y = int(columns[0]), int(rows[0])
            width, height = int(columns[-1]) - x + 1, int(rows[-1]) - y + 1
            annotations.append(
                {
                    "id": (split + 1) * 10_000_000 + len(annotations),
                    "image_id": image_id,
                    "category_id": CATEGORY_IDS[thing.shape],
                    "segmentation": mask_to_polygons(thing.visible),
                    "bbox": [float(v) for v in (x, y, width, height)],
                    "area": float(thing.visible.sum()),
                    "iscrowd": 0,
                }
            )
    return {
        "info": {"description": "robust_det synthetic shapes", "version": str(_VERSION)},
        "licenses": [],
        "images": images,
        "annotations": annotations,
        "categories": [
            {"id": i, "name": name, "supercategory": "shape"} for name, i in CATEGORY_IDS.items()
        ],
    }


def _check(**numbers: int) -> None:
    for name, value in numbers.items():
        if value < 1:
            shown = "seed cannot be negative" if name == "seed" else f"{name} must be 1 or more"
            raise UserError(f"synthetic data: {shown}")


def _save(path: Path, image: Image) -> None:
    """Write an RGB image as PNG. Unlike ``cv2.imwrite``, a full disk raises OSError."""
    _, data = cv2.imencode(".png", image[..., ::-1])
    path.write_bytes(data.tobytes())


def _count_files(folder: Path) -> int:
    return sum(1 for path in folder.rglob("*") if path.is_file() and path.name != STAMP_NAME)


def _reusable(root: Path, parameters: dict[str, Any]) -> bool:
    """Whether ``root`` holds the finished set; False if nothing is there yet."""
    if not root.exists():
        return False
    if not root.is_dir():
        raise UserError(f"{root} is a file; give a folder for the synthetic data")
    if not any(root.iterdir()):
        return False
    advice = "remove the folder or choose another one"
    stamp = root / STAMP_NAME
    if not stamp.is_file():
        raise UserError(f"{root} holds something other than synthetic data; {advice}")
    try:
        found = json.loads(stamp.read_text())
        there, files = found["parameters"], found["files"]
    except (OSError, ValueError, KeyError, TypeError):
        raise UserError(f"{stamp} cannot be read; {advice}") from None
    if there != parameters:
        keys = sorted(set(there) | set(parameters))
        pairs = [(k, there.get(k), parameters.get(k)) for k in keys]
        differing = ", ".join(f"{k} {a} instead of {b}" for k, a, b in pairs if a != b)
        raise UserError(f"{root} holds synthetic data with {differing}; {advice}")
    if (count := _count_files(root)) != files:
        raise UserError(f"{root} has {count} files where {files} were written; {advice}")
    return True


def _write_once(root: Path, parameters: dict[str, Any], fill: Callable[[Path], None]) -> bool:
    """Fill a hidden folder beside ``root`` and rename it, so that ``root`` is never half there.

    What a killed run left in the hidden folder is thrown away; two processes at once take turns.
    """
    root = root.absolute()
    partial = root.with_name(f".{root.name}.partial")
    try:
        root.parent.mkdir(parents=True, exist_ok=True)
        with open(root.with_name(f".{root.name}.lock"), "w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if _reusable(root, parameters):
                logger.info("synthetic data in %s is there already and is used again", root)
                return False
            shutil.rmtree(partial, ignore_errors=True)
            try:
                fill(partial)
                stamp = {"parameters": parameters, "files": _count_files(partial)}
                (partial / STAMP_NAME).write_text(json.dumps(stamp, indent=1) + "\n")
                os.replace(partial, root)
            finally:
                shutil.rmtree(partial, ignore_errors=True)
    except OSError as error:
        reason = error.strerror or str(error)
        raise UserError(
            f"cannot write synthetic data to {root}: {reason}; free space or choose another folder"
        ) from error
    logger.info("wrote synthetic data to %s", root)
    return True
