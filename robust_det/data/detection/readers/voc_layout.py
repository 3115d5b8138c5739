"""Where a VOC folder has annotations and images, and which of them belong to a split."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from robust_det.core.errors import UserError, did_you_mean
from robust_det.data.detection.checking.images import SUFFIXES
from robust_det.data.detection.checking.listing import SPELLINGS, parts_of
from robust_det.data.detection.checking.report import Report
from robust_det.data.detection.readers.texts import read_text
from robust_det.data.walking import has_hidden_part, walk

__all__ = ["Stems", "VocLayout", "read_layout", "stem_parts"]

_ANNOTATIONS, _IMAGES = ("annotations", "xmls", "xml"), ("jpegimages", "images")
# folders that say what is in them, and not of what
_GENERIC = frozenset((*_ANNOTATIONS, *_IMAGES))
_SPLITS = ("train", "training", "trainval")
_HELD_OUT = ("val", "valid", "validation", "test", "testing", "dev", "eval")
_ALL = "all"


class Stems:
    """Files by their paths without suffix and without folders that only say what is in them.

    Args:
        names: of the files, relative to one folder.
        generic: names of such folders in lower case, beside VOC's own.
    """

    def __init__(self, names: Iterable[str], generic: frozenset[str] = frozenset()) -> None:
        self._generic = generic
        self._spelt: list[dict[str, list[tuple[list[str], str]]]] = [{} for _ in SPELLINGS]
        for name in sorted(names):
            parts = stem_parts(name, generic)
            for spelling, spelt in zip(SPELLINGS, self._spelt, strict=True):
                spelt.setdefault(spelling(parts[-1]), []).append(([*map(spelling, parts)], name))

    def find(self, path: str) -> list[str]:
        """Return the files that a path can mean, in the closest spelling; its suffix is ignored.

        One of the two may have more folders in front: a list may have full paths, or none.
        """
        parts = stem_parts(path, self._generic)
        for spelling, spelt in zip(SPELLINGS, self._spelt, strict=True):
            wanted = [*map(spelling, parts)]
            fitting = [
                (len(own) == len(wanted), min(len(own), len(wanted)), name)
                for own, name in spelt.get(wanted[-1], ())
                if all(a == b for a, b in zip(reversed(own), reversed(wanted), strict=False))
            ]
            if fitting:
                best = max(fitting)[:2]
                return [name for *rank, name in fitting if tuple(rank) == best]
        return []


def stem_parts(path: str, generic: frozenset[str] = frozenset()) -> list[str]:
    """Return the parts of a path without suffix and without folders such as ``Annotations``."""
    *folders, name = parts_of(path) or [""]
    stem, suffix = os.path.splitext(name)
    # names may have dots
    name = stem if suffix.lower() in (*SUFFIXES, ".xml") else name
    left_out = {*_GENERIC, *generic, ".."}
    return [*(part for part in folders if part.lower() not in left_out), name]


@dataclass(frozen=True)
class VocLayout:
    """What of a folder belongs to a split.

    Attributes:
        folder: of the data set.
        annotations: all annotation files, of all splits, relative to it.
        listed: the images of the split as they are called in its list, and the annotation file of
            each, relative to ``folder``; empty where there is none.
        image_root: folder of the images.
        images: those that can belong to the split, relative to ``image_root``.
        generic: names of folders in lower case that only say what is in them.
        complete: whether the split is all that is in a folder, for want of a list.
    """

    folder: Path
    annotations: tuple[str, ...]
    listed: tuple[tuple[str, str], ...]
    image_root: Path
    images: tuple[str, ...]
    generic: frozenset[str]
    complete: bool = False

    def stem(self, path: str) -> str:
        """Return what tells a file from others of its kind: see :func:`stem_parts`."""
        return "/".join(stem_parts(path, self.generic))


def read_layout(folder: Path, split: str, name: str, report: Report) -> VocLayout:
    """Find the files of a split.

    Args:
        folder: VOC's own, or any with annotation files in it.
        split: a list ``ImageSets/Main/SPLIT.txt``, or a folder, at any depth. In a folder without
            splits it is all that is there, but not if it has the name of what is held out.
        name: of the data set, for messages.
        report: what is chosen, and lines that can mean several files, are added to it.

    Raises:
        UserError: there are no annotations or images, or no such split.
    """
    folder = _with_sets(folder, name)
    annotation_root, image_root = _child(folder, _ANNOTATIONS), _child(folder, _IMAGES)
    annotations = _below(annotation_root, folder, (".xml",))
    images = _below(image_root, image_root, SUFFIXES)
    for part, there in (("Annotations", annotations), ("JPEGImages", images)):
        if not there and not (folder / part).is_dir():
            raise UserError(
                f"data set '{name}' has no folder {folder / part}; a VOC folder holds"
                " Annotations, ImageSets/Main and JPEGImages, or annotations and images in folders"
                " of other names, and DETECTRON2_DATASETS the folder of data sets"
            )
    generic = _kinds(annotations, images)
    path = _list_of(folder, split, name, report)
    if path is not None:
        listed = _listed(path, Stems(annotations, generic), name, report)
        return VocLayout(folder, annotations, listed, image_root, images, generic)
    chosen = _of_folder(folder, annotations, split, name, report)
    if len(chosen) < len(annotations):
        # the same names may lie in each split
        images = tuple(i for i in images if split in _folders(i)) or images
    listed = tuple(("/".join(stem_parts(file, generic)), file) for file in chosen)
    return VocLayout(folder, annotations, listed, image_root, images, generic, complete=True)


def _kinds(annotations: Sequence[str], images: Sequence[str]) -> frozenset[str]:
    """Return the folders that all files of one sort are in, and none of the other."""
    every, some = [], []
    for files in (annotations, images):
        folders = [{part.lower() for part in _folders(file)} for file in files] or [set()]
        every.append(set.intersection(*folders))
        some.append(set.union(*folders))
    return frozenset((every[0] - some[1]) | (every[1] - some[0]))


def _with_sets(folder: Path, name: str) -> Path:
    """Return the folder, or the one in it that holds a data set, as in ``VOCdevkit``."""
    if (folder / "Annotations").is_dir() or (folder / "ImageSets").is_dir():
        return folder
    nested = sorted(path.parent for path in folder.glob("*/ImageSets") if path.is_dir())
    if len(nested) > 1:
        listed = ", ".join(path.name for path in nested)
        raise UserError(f"data set '{name}': {folder} holds {listed}; name one of them")
    return nested[0] if nested else folder


def _child(folder: Path, names: Sequence[str]) -> Path:
    """Return the folder in it that has one of these names, in any case; itself without one."""
    try:
        folders = [entry.name for entry in os.scandir(folder) if entry.is_dir()]
    except OSError:
        return folder
    for name in names:
        if found := [f for f in folders if f.lower() == name]:
            return folder / (found[0] if len(found) == 1 else "")
    return folder


def _below(folder: Path, root: Path, suffixes: Sequence[str]) -> tuple[str, ...]:
    found = (
        os.path.relpath(os.path.join(parent, name), root)
        for parent, _, names in walk(folder, follow_links=True)
        for name in names
        if name.lower().endswith(tuple(suffixes))
    )
    return tuple(sorted(found))


def _folders(path: str) -> tuple[str, ...]:
    return PurePosixPath(path).parts[:-1]


def _list_of(folder: Path, split: str, name: str, report: Report) -> Path | None:
    """Return the list of a split; None if the folder has no lists."""
    main = folder / "ImageSets/Main"
    for place in (main, folder / "ImageSets", folder):
        if (path := place / f"{split}.txt").is_file():
            return path
    of_classes = [path for path in sorted(main.glob(f"*_{split}.txt")) if path.name[0] != "."]
    if of_classes:
        first, *others = ([line.split()[:1] for line in _lines(p, name)] for p in of_classes)
        if any(sorted(other) != sorted(first) for other in others):
            raise UserError(
                f"data set '{name}' has no {main / split}.txt, and the lists of its classes, such"
                f" as {of_classes[0].name}, differ in their images; write one"
            )
        report.add("whole_folder", f"{of_classes[0]} has the images of '{split}'")
        return of_classes[0]
    lists = [path for path in sorted((folder / "ImageSets").rglob("*.txt")) if path.name[0] != "."]
    if not lists:
        lists = [p for s in (*_SPLITS, *_HELD_OUT) if (p := folder / f"{s}.txt").is_file()]
    if lists:
        splits = [path.stem for path in lists if path.stem != split]
        known = ", ".join(str(path.relative_to(folder)) for path in lists[:5])
        raise UserError(
            f"data set '{name}' has no split {main / split}.txt"
            f"{did_you_mean(split, splits) or f'; there are {known}'}"
        )
    return None


def _of_folder(
    folder: Path, annotations: tuple[str, ...], split: str, name: str, report: Report
) -> tuple[str, ...]:
    """Return the annotation files in folders of a split's name, or all if nothing is split."""
    if chosen := tuple(file for file in annotations if split in _folders(file)):
        return chosen
    if folder.name == split:
        return annotations
    parts = {part for file in annotations for part in _folders(file)}
    splits = sorted(part for part in parts if part.lower() in (*_SPLITS, *_HELD_OUT))
    if splits or split.lower() in _HELD_OUT:
        advice = did_you_mean(split, splits) or f"; there are the folders {', '.join(splits)}"
        if not splits:
            advice = f"; SPLIT {_ALL} takes all annotations as they are"
        raise UserError(
            f"data set '{name}' has no split '{split}': {folder} holds neither"
            f" ImageSets/Main/{split}.txt nor a folder {split}{advice}"
        )
    if split != _ALL:
        text = f"all {len(annotations)} annotation files below {folder} are '{split}'"
        report.add("whole_folder", text)
    return annotations


def _lines(path: Path, name: str) -> list[str]:
    try:
        lines = [line.strip() for line in read_text(path).splitlines()]
    except (OSError, ValueError) as error:
        raise UserError(f"data set '{name}': cannot read {path}: {error}") from error
    return [line for line in lines if line]


def _listed(path: Path, stems: Stems, name: str, report: Report) -> tuple[tuple[str, str], ...]:
    """Return the images of a list and the annotation file of each.

    A second column, as the lists of one class have, says whether the class is on an image. The
    image belongs to the split in any case.
    """
    listed = []
    for line in _lines(path, name):
        # names of images may have spaces
        readings = (line, line.rsplit(maxsplit=1)[0], line.split()[0])
        reading, found = next(
            ((r, files) for r in readings if (files := stems.find(r))),
            (readings[-1], []),
        )
        if has_hidden_part(reading):
            report.add("hidden_file", f"{reading} in {path}")
        elif len(found) > 1:
            report.add("unclear_name", f"{reading} in {path} can be {' or '.join(found[:3])}")
        else:
            own = found[0] if found else ""
            if own and stem_parts(own)[-1] != stem_parts(reading)[-1]:
                report.add("other_name", f"{reading} in {path.name} is {own}")
            listed.append((reading, own))
    return tuple(listed)
