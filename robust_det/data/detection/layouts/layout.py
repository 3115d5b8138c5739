"""A data set as it lies on the disk: its form, and an entry for each of its parts."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from robust_det.core.errors import UserError
from robust_det.data.detection.source import ALL
from robust_det.data.walking import is_hidden

__all__ = [
    "ALL",
    "TEST",
    "TRAIN",
    "VAL",
    "Layout",
    "by_role",
    "counterparts",
    "entry_name",
    "role_of",
    "without_role",
]

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


def by_role(files: Sequence[Path], top: Path) -> dict[str, Path]:
    """Return the files of a folder by role; one alone is all there is, if it is to train on.

    Args:
        files: of one format, at any depth.
        top: the folder.

    Raises:
        UserError: several have one role, or some have one and others have none.
    """
    roles: dict[str, Path] = {}
    for file in files:
        role = _role(file, top)
        if role in roles or (not role and len(files) > 1):
            listed = ", ".join(sorted(map(str, files))[:6])
            raise UserError(
                f"{top} holds several files that could be meant: {listed}; give one of them"
            )
        roles[role] = file
    if len(roles) == 1 and {*roles} <= {"", TRAIN}:
        return {ALL: files[0]}
    return {role: roles[role] for role in (TRAIN, VAL, TEST) if role in roles}


def _role(path: Path, top: Path) -> str:
    """Return the role of a file: by its name, or by the folder that it is in, below ``top``."""
    if role := role_of(path.stem):
        return role
    parents = path.parent.relative_to(top).parts if path.is_relative_to(top) else ()
    return next((role for part in reversed(parents) if (role := role_of(part))), "")


def counterparts(path: Path) -> dict[str, Path]:
    """Return by role the files that lie beside one to train on, and are called as it is otherwise.

    Empty if the file's own name and folder do not say that it is to train on.
    """
    path = path.absolute()
    if role_of(path.stem):
        known, beside = path.stem, path.parent.glob(f"*{path.suffix}")
        named = {p: p.stem for p in beside if not is_hidden(p.name)}
    else:
        known = path.parent.name
        named = {p: p.parent.name for p in path.parent.parent.glob(f"*/{path.name}")}
    if role_of(known) != TRAIN:
        return {}
    found: dict[str, list[Path]] = {}
    for other, name in sorted(named.items()):
        if (role := role_of(name)) in (VAL, TEST) and without_role(name) == without_role(known):
            found.setdefault(role, []).append(other)
    return {role: paths[0] for role, paths in found.items() if len(paths) == 1}


def without_role(name: str) -> str:
    """Return a name without the words that say a role."""
    return _WORD.sub(lambda word: "" if word[0] in _ROLES else word[0], name.lower())


def entry_name(place: Path, role: str) -> str:
    """Return a name for an entry: of the folder or file, and its role."""
    stem = place.absolute().name if place.is_dir() else place.stem
    return f"{re.sub(r'[^0-9A-Za-z_]+', '_', stem).strip('_') or 'data'}_{role}"
