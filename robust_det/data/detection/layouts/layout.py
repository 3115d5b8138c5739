"""A data set as it lies on the disk: its form, and an entry for each of its parts."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from robust_det.data.detection.source import ALL

__all__ = ["ALL", "TEST", "TRAIN", "VAL", "Layout", "entry_name", "role_of", "without_role"]

TRAIN, VAL, TEST = "train", "val", "test"
_ROLES = {
    **dict.fromkeys(("train", "training", "trainval"), TRAIN),
    **dict.fromkeys(("val", "valid", "validation", "dev", "eval", "validate"), VAL),
    **dict.fromkeys(("test", "testing"), TEST),
}
# numbers of years and parts stand beside: instances_train2017, BCCD-valid-2
_WORD = re.compile(r"[a-z]+")


@dataclass(frozen=True)
class Layout:
    """What was recognised.

    Attributes:
        form: ``COCO``, ``panoptic``, ``VOC``, ``YOLO`` or ``CSV``.
        place: the file or folder that was looked at.
        entries: by role, ``train``, ``val`` and ``test``, the entry of ``DATASETS.CUSTOM``, with a
            name and absolute paths; or one alone for ``all``, where nothing is split.
        notes: what was chosen among several things, one line each, to be said.
    """

    form: str
    place: Path
    entries: Mapping[str, Mapping[str, Any]]
    notes: tuple[str, ...] = ()


def role_of(name: str) -> str:
    """Return the role that a file or folder of this name has; empty if it says none."""
    words = _WORD.findall(name.lower())
    found = {_ROLES[word] for word in words if word in _ROLES}
    return found.pop() if len(found) == 1 else ""


def without_role(name: str) -> str:
    """Return a name without the words that say a role."""
    return _WORD.sub(lambda word: "" if word[0] in _ROLES else word[0], name.lower())


def entry_name(place: Path, role: str) -> str:
    """Return a name for an entry: of the folder or file, and its role."""
    stem = place.absolute().name if place.is_dir() else place.stem
    return f"{re.sub(r'[^0-9A-Za-z_]+', '_', stem).strip('_') or 'data'}_{role}"
