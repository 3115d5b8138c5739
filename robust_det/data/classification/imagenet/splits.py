"""The splits of ImageNet (ILSVRC 2012) as its tar files have them."""

from __future__ import annotations

import os
import re
from collections import Counter
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from torchvision.datasets.imagenet import ARCHIVE_META

from robust_det.core.errors import FileError, UserError, counted, naming
from robust_det.data.classification.found import Found
from robust_det.data.classification.imagenet.devkit import validation_classes
from robust_det.data.classification.imagenet.index_cache import kept_index
from robust_det.data.classification.imagenet.tar_index import TarIndex
from robust_det.data.classification.imagenet.tar_store import TarStore
from robust_det.data.classification.listing import is_image, left_out, suffix_of
from robust_det.data.walking import has_hidden_part

__all__ = ["DEVKIT", "TARS", "split_in_tar"]

# official names by split
TARS = {split: ARCHIVE_META[split][0] for split in ("train", "val")}
DEVKIT = ARCHIVE_META["devkit"][0]

_SIZES = {"train": (1000, 1_281_167), "val": (1000, 50_000)}  # classes and images, officially
_ADVICE = "take the official file"
_NUMBERED = re.compile(r"ILSVRC2012_val_(\d{8})\.JPEG")


def split_in_tar(root: Path, split: str) -> Found:
    """List the images in a tar file of ImageNet.

    Names and order are those of the unpacked folders: ``<WordNet id>/<file>``.

    Args:
        root: the folder with the tar files, and for validation the development kit.
        split: ``train`` or ``val``.

    Raises:
        FileError: a file is damaged, compressed, or holds something else.
        UserError: the development kit is missing, or a file cannot be read.
    """
    tar = root / TARS[split]
    try:
        index, others = _images(kept_index(tar))
        notes = []
        if others:
            notes.append(
                f"files of {tar} that are not read as images were left out: {left_out(others)}"
            )
        with naming(tar):
            if not len(index.names):
                also = f" ({left_out(others)} are there)" if others else ""
                raise FileError(f"holds no images{also}", _ADVICE)
            names = index.names if split == "train" else _below_classes(root, tar, index.names)
            return _in_order(tar, split, names, index, notes)
    except OSError as error:
        reason = error.strerror or str(error)
        raise UserError(f"cannot read {error.filename or tar}: {reason}") from error


def _images(index: TarIndex) -> tuple[TarIndex, Counter[str]]:
    """Return the images in a tar, and how many files of which suffix are none."""
    names = [os.fsdecode(name) for name in index.names]
    there = np.array([is_image(name) for name in names], dtype=bool)
    shown = np.array([not has_hidden_part(name) for name in names], dtype=bool)
    others = Counter(suffix_of(names[i]) for i in np.flatnonzero(~there & shown))
    return index.at(np.flatnonzero(there & shown)), others


def _below_classes(root: Path, tar: Path, names: NDArray[np.bytes_]) -> NDArray[np.bytes_]:
    """Put the folders of their classes before the names of validation images."""
    devkit = root / DEVKIT
    if not devkit.exists():
        raise UserError(
            f"{tar} needs {DEVKIT} beside it, which says of what classes its images are",
            "put it there",
        )
    classes = validation_classes(devkit)
    found = []
    for name in names:
        file = os.fsdecode(name).rpartition("/")[2]
        match = _NUMBERED.fullmatch(file)
        if match is None:
            raise FileError(f"has {file}, and its images are ILSVRC2012_val_<number>.JPEG", _ADVICE)
        if not 1 <= int(match[1]) <= len(classes):
            raise FileError(
                f"has {file}, and {DEVKIT} knows the classes of {counted(len(classes), 'image')}",
                "take both from one release",
            )
        found.append(f"{classes[int(match[1]) - 1]}/{file}")
    return np.array(found, np.bytes_)


def _in_order(
    tar: Path, split: str, names: NDArray[np.bytes_], index: TarIndex, notes: list[str]
) -> Found:
    """Bring images into the order of folders: by class, and by their names within one."""
    folders, below, _ = np.char.partition(names, b"/").T
    if (astray := np.flatnonzero(below == b"")).size:
        raise FileError(
            f"has {os.fsdecode(names[astray[0]])}, which is of no class: its images are in a tar"
            " for each class",
            _ADVICE,
        )
    order = np.lexsort((names, folders))
    found, targets = np.unique(folders[order], return_inverse=True)
    if (len(found), len(names)) != _SIZES[split]:
        classes, images = _SIZES[split]
        notes.append(
            f"{tar} has {counted(len(names), 'image')} of {counted(len(found), 'class', 'es')}; the"
            f" official one has {images:,} of {classes:,}"
        )
    return Found(
        TarStore(tar, names[order], index.at(order)),
        targets.astype(np.int64),
        [os.fsdecode(name) for name in found],
        tuple(notes),
    )
