"""Which images and classes a YOLO folder has: by its ``data.yaml``, ``obj.data``, or folders."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from robust_det.core.errors import UserError
from robust_det.data.detection.checking.images import SUFFIXES
from robust_det.data.detection.checking.listing import Listing
from robust_det.data.detection.checking.report import Report
from robust_det.data.detection.readers.darknet_data import data_files, read_data_file
from robust_det.data.detection.readers.yolo_images import images_at
from robust_det.data.detection.readers.yolo_names import names_beside, not_data
from robust_det.data.detection.readers.yolo_yaml import read_yaml, yaml_files
from robust_det.data.detection.source import ALL, NoSuchSplit, is_held_out, is_split
from robust_det.data.walking import walk

__all__ = ["YoloSplit", "read_layout"]


@dataclass(frozen=True)
class YoloSplit:
    """The images of a split as absolute paths, sorted or as listed, and the classes."""

    images: tuple[str, ...]
    classes: tuple[str, ...]


def read_layout(
    path: Path, split: str, name: str, classes: tuple[str, ...], report: Report
) -> YoloSplit:
    """Find the images and the classes of a split, as Ultralytics, darknet or CVAT do.

    Args:
        path: a ``data.yaml`` or ``obj.data``, or a folder with one; or one with ``images/SPLIT``,
            ``SPLIT/images``, a list ``SPLIT.txt`` or, without splits, ``images``; and, unless
            ``classes`` are given, ``classes.txt``.
        split: a key of the file, such as ``train``.
        name: of the data set, for messages.
        classes: names in the order of their ids, in place of those of the file.
        report: what is chosen is added to it.

    Raises:
        UserError: no such file, folder, split, or no names.
    """
    if os.path.isdir(path):
        files, others = yaml_files(path)
        files = files or data_files(path)
        if len(files) > 1:
            listed = ", ".join(file.name for file in files)
            raise UserError(f"data set '{name}': {path} holds {listed}; name one of them")
        if not files:
            place = _place(path, split, name, others, report)
            images = images_at(place, path, name, report)
            return YoloSplit(
                images, classes or names_beside(path, place, split, name, others, report)
            )
        path = files[0]
    if not os.path.isfile(path):
        raise UserError(
            f"data set '{name}' has no {path};"
            " set DETECTRON2_DATASETS to the folder that holds your data sets"
        )
    read = read_data_file if path.suffix.lower() == ".data" else read_yaml
    return YoloSplit(*read(path, split, name, classes, report))


def _place(folder: Path, split: str, name: str, others: list[Path], report: Report) -> Path:
    """Return the folder or list that has the images of a split."""
    listing = Listing()
    for wanted in (f"images/{split}", f"{split}/images", split, f"{split}.txt"):
        found = listing.find(str(folder), wanted)
        if len(found) == 1 and (wanted.endswith(".txt") or os.path.isdir(folder / found[0])):
            return folder / found[0]
    for whole in (folder / "images", folder):
        below = [(parent, files) for parent, _, files in walk(whole)]
        images = sum(f.lower().endswith(SUFFIXES) for _, files in below for f in files)
        parts = {part for parent, _ in below for part in Path(parent).relative_to(folder).parts}
        if not images or any(map(is_split, parts)):
            continue
        if split in (ALL, folder.name):
            return whole
        if not is_held_out(split):
            report.add("whole_folder", f"all {images} images below {whole} are '{split}'")
            return whole
        raise NoSuchSplit(
            f"data set '{name}': {folder} holds no images of '{split}' alone;"
            f" SPLIT {ALL} takes all {images} as they are"
        )
    raise NoSuchSplit(
        f"data set '{name}': {folder} holds neither data.yaml nor images/{split} or"
        f" {split}/images{not_data(others)}"
    )
