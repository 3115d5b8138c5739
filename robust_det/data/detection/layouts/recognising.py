"""Telling from a file or a folder what data are there."""

from __future__ import annotations

import os
import xml.etree.ElementTree as ET
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from robust_det.core.errors import UserError, did_you_mean_file
from robust_det.data.detection.checking.images import SUFFIXES
from robust_det.data.detection.checking.stems import ANNOTATION_FOLDERS
from robust_det.data.detection.layouts.coco_files import (
    OBJECTS,
    PANOPTIC,
    CocoFile,
    coco_entry,
    look_into,
    one_task,
    panoptic_entry,
)
from robust_det.data.detection.layouts.csv_files import TABLES, csv_entries, is_table
from robust_det.data.detection.layouts.layout import (
    ALL,
    TRAIN,
    Layout,
    by_role,
    counterparts,
    entry_name,
    role_of,
)
from robust_det.data.detection.layouts.split_folders import (
    is_yolo_file,
    voc_entries,
    yolo_entries,
)
from robust_det.data.detection.readers.darknet_data import data_files
from robust_det.data.detection.readers.yolo_yaml import yaml_files
from robust_det.data.walking import walk

__all__ = ["ImagesOfClasses", "recognise"]

_READ = "COCO JSON, VOC XML, YOLO labels and CSV are recognised"
_ARCHIVES = (".zip", ".tar", ".gz", ".tgz", ".bz2", ".xz", ".7z", ".rar")
_MASKS = ("mask", "masks", "trimaps", "segmentation", "segmentations", "labels", "annotations")
# of a kind, enough to tell what it is
_FEW = 20
_LABEL = 5  # numbers of a box in YOLO's labels
_CLASSES = "images in folders that look like classes"


class ImagesOfClasses(UserError):
    """A folder holds images by class, and no boxes."""


def recognise(place: str | Path) -> Layout:
    """Tell what data are in a file or a folder.

    Args:
        place: COCO JSON, CSV, a ``data.yaml`` or ``obj.data``; or a folder with one or more of the
            first two, with VOC's XML, or in YOLO's layout.

    Raises:
        UserError: there is nothing that is read, or several things that could be meant; in one
            line that says what is there.
    """
    path = Path(os.path.expanduser(os.path.expandvars(place)))
    if os.path.isdir(path):
        return _of_folder(path)
    if not os.path.isfile(path):
        raise UserError(f"there is no file or folder {path}{did_you_mean_file(path)}")
    return _of_file(path)


def _of_file(path: Path) -> Layout:
    suffix, notes = path.suffix.lower(), list[str]()
    if suffix == ".json":
        file = look_into(path)
        if not file.kind:
            raise UserError(f"{path} {file.other or 'is not in COCO format'}; {_READ}")
        looked = {role: look_into(other) for role, other in counterparts(path).items()}
        others = {role: other for role, other in looked.items() if other.kind == file.kind}
        notes += [f"{other} beside it is taken for {role}" for role, other in others.items()]
        return _of_json({TRAIN if others else ALL: file, **others}, path, notes)
    if suffix in (".yaml", ".yml", ".data"):
        if is_yolo_file(path):
            return Layout("YOLO", path, yolo_entries(path, notes), tuple(notes))
        raise UserError(
            f"{path} names neither images nor classes, as YOLO's data.yaml does; if it is a config,"
            " give it as --config"
        )
    if suffix in TABLES:
        beside = {role: p for role, p in counterparts(path).items() if is_table(p)}
        notes += [f"{other} beside it is taken for {role}" for role, other in beside.items()]
        files = {TRAIN if beside else ALL: path, **beside}
        return Layout("CSV", path, csv_entries(files, path, path.parent), tuple(notes))
    if suffix in _ARCHIVES:
        raise UserError(f"{path} is an archive; unpack it, and give the folder")
    if suffix in (".xml", ".txt", *SUFFIXES):
        raise UserError(f"{path} is one file of a data set; give the folder that holds all of it")
    raise UserError(f"{path} is in no format that is read; {_READ}")


@dataclass
class _There:
    """What is in a folder, at any depth.

    Attributes:
        folder: it.
        suffixes: how many files have each.
        of: the paths of those that say something, by suffix, sorted.
        images: those of images, by folder.
    """

    folder: Path
    suffixes: Counter[str] = field(default_factory=Counter)
    of: dict[str, list[Path]] = field(default_factory=dict)
    images: dict[Path, list[str]] = field(default_factory=dict)

    @classmethod
    def look(cls, folder: Path) -> _There:
        there = cls(folder)
        for parent, folders, files in walk(folder, follow_links=True):
            folders.sort()
            for name in sorted(files):
                suffix = os.path.splitext(name)[1].lower()
                there.suffixes[suffix] += 1
                if suffix in SUFFIXES:
                    there.images.setdefault(Path(parent), []).append(name)
                else:
                    there.of.setdefault(suffix, []).append(Path(parent, name))
        return there

    def first(self, suffix: str) -> list[Path]:
        return self.of.get(suffix, [])[:_FEW]

    def in_words(self) -> str:
        images = sum(map(len, self.images.values()))
        others = [f"{n} {s or 'without suffix'}" for s, n in self.suffixes.most_common(6)]
        return f"{images} images ({', '.join(others)})" if others else "nothing"


def _of_folder(folder: Path) -> Layout:
    there, notes = _There.look(folder), list[str]()
    json_files = _json_files(there)
    known = [file for file in json_files if file.kind]
    forms: dict[str, Callable[[], Layout]] = {}
    if known:
        forms["COCO JSON"] = lambda: _of_json_files(known, folder, notes)
    if any(map(_is_voc, there.first(".xml"))):
        alone = folder.name.lower() in ANNOTATION_FOLDERS and not there.images
        whole = folder.absolute().parent if alone else folder
        forms["VOC XML"] = lambda: Layout("VOC", whole, voc_entries(whole, notes), tuple(notes))
    if place := _yolo_place(there):
        forms["YOLO labels"] = lambda: Layout(
            "YOLO", place, yolo_entries(place, notes), tuple(notes)
        )
    tables = [p for suffix in TABLES for p in there.first(suffix) if is_table(p)]
    if tables:
        forms["CSV"] = lambda: Layout(
            "CSV", folder, csv_entries(by_role(tables, folder), folder, folder), tuple(notes)
        )
    if len(forms) > 1:
        examples = [
            *(f.path for f in known[:1]),
            *(p.parent for p in there.first(".xml")[:1] if "VOC XML" in forms),
            *tables[:1],
        ]
        raise UserError(
            f"{folder} holds annotations of several formats: {' and '.join(forms)}; give the file"
            f" or folder of one, such as {' or '.join(map(str, examples))}"
        )
    if not forms:
        problem, advice = _nothing(there, json_files)
        raise (ImagesOfClasses if _CLASSES in problem else UserError)(problem, advice)
    return next(iter(forms.values()))()


def _json_files(there: _There) -> list[CocoFile]:
    found, unread = [], Counter[str]()
    for path in there.of.get(".json", []):
        # one for each image is no COCO, and there are many
        if unread[str(path.parent)] >= _FEW:
            continue
        file = look_into(path)
        unread[str(path.parent)] += not file.kind
        found.append(file)
    return found


def _of_json_files(files: list[CocoFile], folder: Path, notes: list[str]) -> Layout:
    panoptic = [file for file in files if file.kind == PANOPTIC]
    objects = one_task([file for file in files if file.kind == OBJECTS], notes)
    if panoptic and objects:
        listed = ", ".join(sorted(file.path.name for file in panoptic))
        notes.append(f"{listed} of segments left out; PANOPTIC of DATASETS.CUSTOM takes them")
    chosen = objects or panoptic
    files_of = {file.path: file for file in chosen}
    roles = {role: files_of[path] for role, path in by_role([*files_of], folder).items()}
    return _of_json(roles, folder, notes)


def _of_json(roles: Mapping[str, CocoFile], place: Path, notes: list[str]) -> Layout:
    form = next(iter(roles.values())).kind
    build = coco_entry if form == OBJECTS else panoptic_entry
    entries = {role: build(file, entry_name(place, role)) for role, file in roles.items()}
    return Layout(form, place, entries, tuple(notes))


def _is_voc(path: Path) -> bool:
    try:
        root = ET.parse(path).getroot()
    except (ET.ParseError, OSError, ValueError, LookupError):
        return False
    return root.tag.lower() == "annotation" or root.find("object") is not None


def _yolo_place(there: _There) -> Path | None:
    """Return what YOLO's reader is to be given; None if nothing looks like it."""
    folder = there.folder
    if yaml_files(folder)[0] or data_files(folder):
        return folder
    stems = {os.path.splitext(name)[0] for names in there.images.values() for name in names}
    labels = (path for path in there.of.get(".txt", []) if path.stem in stems)
    return folder if any(map(_holds_boxes, labels)) else None


def _holds_boxes(path: Path) -> bool:
    try:
        with path.open(encoding="utf-8") as file:
            words = file.readline().split()
        return len(words) >= _LABEL and all(float(word) >= 0 for word in words)
    except (OSError, ValueError):
        return False


def _nothing(there: _There, json_files: list[CocoFile]) -> tuple[str, str]:
    """Return what is in a folder that holds nothing that is read, and what to do."""
    folder = there.folder
    if foreign := [file for file in json_files if "not read" in file.other]:
        form = foreign[0]
        return f"{form.path} {form.other}", "export COCO JSON, VOC or YOLO"
    archives = [p for suffix in _ARCHIVES for p in there.of.get(suffix, [])]
    if not there.images:
        if archives:
            return f"{folder} holds archives, such as {archives[0].name}", "unpack them"
        if any(map(_holds_boxes, there.first(".txt"))):
            return (
                f"{folder} holds YOLO's labels, and no images",
                "put the images beside them, or into a folder images beside labels, and give the"
                " folder that holds both",
            )
        return f"{folder} holds no images and no annotations: {there.in_words()}", _READ
    if masks := [place for place in there.images if place.name.lower() in _MASKS]:
        return (
            f"{folder} holds images and, in {masks[0]}, what looks like masks, and nothing says"
            " what their values mean",
            f"say it by an entry of DATASETS.CUSTOM: NAME, MASKS {masks[0]}, IMAGES, and KIND"
            " instances, objects or values",
        )
    classes = _classes(there)
    if len(classes) > 1:
        listed = ", ".join(classes[:3])
        return (
            f"{folder} holds no boxes, but {_CLASSES}: {listed}, ...",
            "classes of images are for robust-det pretrain",
        )
    if json_files:
        first = json_files[0]
        return f"{folder} holds images, and {first.path} {first.other}", _READ
    return f"{folder} holds {there.in_words()}, and no annotations", _READ


def _classes(there: _There) -> list[str]:
    """Return the names of folders that hold images alone, each as a class would."""
    places = [place for place in there.images if place != there.folder]
    if there.folder in there.images or len(places) < 2:
        return []
    names = {place.name for place in places if not role_of(place.name)}
    return sorted(names - {"images", "JPEGImages"})
