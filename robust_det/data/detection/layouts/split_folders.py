"""VOC's and YOLO's folders: the splits that their readers find in them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from robust_det.core.errors import UserError
from robust_det.data.detection.checking.report import Report
from robust_det.data.detection.layouts.layout import TEST, TRAIN, VAL, entry_name, role_of
from robust_det.data.detection.readers import voc_layout, yolo_layout
from robust_det.data.detection.readers.darknet_data import data_files
from robust_det.data.detection.readers.yolo_yaml import yaml_files
from robust_det.data.detection.source import ALL, NoSuchSplit, is_split
from robust_det.data.walking import walk

__all__ = ["is_yolo_file", "voc_entries", "yolo_entries"]

_USUAL = ("train", "val", "valid", "validation", "test")
# what a single list is called where nothing was split
_WHOLE = (ALL, "default")


def voc_entries(folder: Path, notes: list[str]) -> dict[str, dict[str, Any]]:
    """Return the entries of a VOC folder by role.

    Raises:
        UserError: its reader finds nothing, or several splits that have one role.
    """
    found: dict[str, frozenset[str]] = {}
    lists = {path.stem for path in folder.rglob("*.txt") if _is_list(path, folder)}
    for split in [*_names_of_splits(folder, lists), *_WHOLE]:
        report = Report(split)
        try:
            layout = voc_layout.read_layout(folder, split, "data", report)
        except UserError:
            continue
        if split in _WHOLE and found:
            break
        if not layout.listed:
            notes.append(f"split {split} of {folder} lists no images; it is left out")
        elif split in _WHOLE or not _is_whole(report):
            found[split] = frozenset(file or listed for listed, file in layout.listed)
    if not found:
        voc_layout.read_layout(folder, "train", folder.name, Report(folder.name))  # which says why
        raise UserError(f"{folder} has no split that can be told; give SPLIT in DATASETS.CUSTOM")
    chosen = _by_role(found, folder, notes)
    return {
        role: {"NAME": entry_name(folder, role), "VOC": str(folder.absolute()), "SPLIT": split}
        for role, split in chosen.items()
    }


def yolo_entries(place: Path, notes: list[str]) -> dict[str, dict[str, Any]]:
    """Return the entries of a ``data.yaml``, an ``obj.data`` or a folder in YOLO's layout by role.

    Raises:
        UserError: its reader finds nothing, or several splits that have one role.
    """
    found: dict[str, frozenset[str]] = {}
    wrong: dict[str, str] = {}
    folder = place if place.is_dir() else place.parent
    lists = {path.stem for path in folder.glob("*.txt")}
    for split in [*_names_of_splits(folder, lists), ALL]:
        report = Report(split)
        try:
            layout = yolo_layout.read_layout(place, split, entry_name(place, split), (), report)
        except NoSuchSplit:
            continue
        except UserError as error:
            wrong[split] = error.reason
            continue
        if split == ALL and found:
            break
        if not layout.images:
            wrong[split] = "it has no images"
        elif split == ALL or not _is_whole(report):
            found[split] = frozenset(layout.images)
    if not found:
        yolo_layout.read_layout(place, "train", folder.name, (), Report("train"))  # which says why
        raise UserError(f"{place} names no images that are there; mend its paths")
    notes += [f"split {split} of {place} is left out: {why}" for split, why in wrong.items()]
    chosen = _by_role(found, place, notes)
    path = str(place.absolute())
    return {
        role: {"NAME": entry_name(place, role), "YOLO": path, "SPLIT": split}
        for role, split in chosen.items()
    }


def is_yolo_file(path: Path) -> bool:
    """Return whether a file is one that describes YOLO's data."""
    known = [*yaml_files(path.parent)[0], *data_files(path.parent)]
    return path in known or path.suffix.lower() == ".data"


def _names_of_splits(folder: Path, lists: Iterable[str]) -> list[str]:
    """Return what splits of a folder may be called, those of usual names first."""
    parts = {
        part for parent, _, _ in walk(folder) for part in Path(parent).relative_to(folder).parts
    }
    names = sorted({name for name in (*parts, *lists) if is_split(name)})
    return list(dict.fromkeys([*_USUAL, *names]))


def _is_list(path: Path, folder: Path) -> bool:
    parents = path.relative_to(folder).parts[:-1]
    return not parents or "ImageSets" in parents


def _is_whole(report: Report) -> bool:
    return bool(report.count("whole_folder"))


def _by_role(found: Mapping[str, frozenset[str]], place: Path, notes: list[str]) -> dict[str, str]:
    """Return which split has each role; what is there twice is taken once."""
    whole = [split for split in found if split in _WHOLE]
    if whole:
        return {ALL: whole[0]}
    roles: dict[str, str] = {}
    for split, files in found.items():
        role = role_of(split)
        first = roles.setdefault(role, split)
        if first == split or found[first] == files:
            continue
        if split == "trainval":
            notes.append(f"split {first} of {place} is trained on, and not {split}")
            continue
        raise UserError(
            f"{place} has the splits {first} and {split}, which could both be the one to"
            f" {'train on' if role == TRAIN else 'evaluate on'}; name one in DATASETS.CUSTOM"
        )
    train = roles.get(TRAIN, "")
    for role in (VAL, TEST):
        if not train or role not in roles:
            continue
        both = found[roles[role]] & found[train]
        if both == found[roles[role]]:
            notes.append(
                f"split {roles[role]} of {place} has the images of {train}, and nothing can be"
                " measured on images that were trained on; it is left out"
            )
            del roles[role]
        elif both:
            notes.append(f"{len(both)} images of {place} are in {train} and in {roles[role]}")
    if list(roles) == [TRAIN]:
        return {ALL: roles[TRAIN]}
    return {role: roles[role] for role in (TRAIN, VAL, TEST) if role in roles}
