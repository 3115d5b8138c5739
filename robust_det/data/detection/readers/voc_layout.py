"""Where a VOC folder has annotations and images, and which of them belong to a split."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from robust_det.core.errors import UserError, did_you_mean
from robust_det.data.detection.checking.images import SUFFIXES
from robust_det.data.detection.checking.report import Report
from robust_det.data.detection.checking.stems import (
    ANNOTATION_FOLDERS,
    IMAGE_FOLDERS,
    Stems,
    stem_parts,
)
from robust_det.data.detection.readers.texts import read_text
from robust_det.data.detection.source import ALL, is_held_out, is_split
from robust_det.data.walking import files_below, has_hidden_part, is_hidden

__all__ = ["EVERYWHERE", "VocLayout", "VocPlaces", "read_layout"]


@dataclass(frozen=True)
class VocPlaces:
    """Where parts of a data set are that are not to be looked for in its folder; empty otherwise.

    Attributes:
        annotations, images: folders, whose files count at any depth.
        split_file: the list of a split.
    """

    annotations: str = ""
    images: str = ""
    split_file: str = ""


EVERYWHERE = VocPlaces()


@dataclass(frozen=True)
class VocLayout:
    """What of a folder belongs to a split.

    Attributes:
        folder: of the data set.
        annotation_root: folder of the annotations.
        annotations: all annotation files, of all splits, relative to it.
        listed: the images of the split as they are called in its list, and the annotation file of
            each, relative to ``folder``; empty where there is none.
        image_root: folder of the images.
        images: those that can belong to the split, relative to ``image_root``.
        generic: names of folders in lower case that only say what is in them.
        complete: whether the split is all that is in a folder, for want of a list.
    """

    folder: Path
    annotation_root: Path
    annotations: tuple[str, ...]
    listed: tuple[tuple[str, str], ...]
    image_root: Path
    images: tuple[str, ...]
    generic: frozenset[str]
    complete: bool = False

    def annotation_file(self, file: str, stem: str) -> Path:
        """Return the path of an annotation file, or where that of an image would be."""
        if file:
            return self.folder / file
        missing = f"{stem}.xml"
        if self.annotation_root == self.folder:
            return self.folder / "Annotations" / missing
        return self.annotation_root / missing

    def stem(self, path: str) -> str:
        """Return what tells a file from others of its kind: see :func:`stem_parts`."""
        return "/".join(stem_parts(path, self.generic))


def read_layout(
    folder: Path, split: str, name: str, report: Report, places: VocPlaces = EVERYWHERE
) -> VocLayout:
    """Find the files of a split.

    Args:
        folder: VOC's own, or any with annotation files in it.
        split: a list ``ImageSets/Main/SPLIT.txt``, or a folder, at any depth. In a folder without
            splits it is all that is there, but not if it has the name of what is held out.
        name: of the data set, for messages.
        report: what is chosen, and lines that can mean several files, are added to it.
        places: of what is elsewhere. With a list, ``split`` is for messages alone.

    Raises:
        UserError: there are no annotations or images, or no such split.
    """
    folder = _with_sets(folder, name)
    annotation_root, annotations = _files(folder, ANNOTATION_FOLDERS, (".xml",), places.annotations)
    image_root, images = _files(folder, IMAGE_FOLDERS, SUFFIXES, places.images)
    annotations = tuple(os.path.relpath(annotation_root / file, folder) for file in annotations)
    if places.annotations and not annotations:
        raise UserError(f"data set '{name}' has no .xml in its ANNOTATIONS, {annotation_root}")
    if places.images and not images:
        raise UserError(f"data set '{name}' has no images in its IMAGES, {image_root}")
    for part, there in (("Annotations", annotations), ("JPEGImages", images)):
        if not there and not (folder / part).is_dir():
            raise UserError(
                f"data set '{name}' has no folder {folder / part}; a VOC folder holds"
                " Annotations, ImageSets/Main and JPEGImages, or annotations and images in folders"
                " of other names, and DETECTRON2_DATASETS the folder of data sets"
            )
    generic = _kinds(annotations, images)
    path = Path(places.split_file) if places.split_file else _list_of(folder, split, name, report)
    if path is not None:
        listed = _listed(path, Stems(annotations, generic), name, report)
        return VocLayout(folder, annotation_root, annotations, listed, image_root, images, generic)
    own = tuple(file for file in images if f"/{split}/" in f"/{file}")
    chosen = tuple(file for file in annotations if f"/{split}/" in f"/{file}")
    if own and not chosen:
        # images are split, annotations are not
        stems = Stems(own, generic)
        chosen = tuple(file for file in annotations if stems.find(file))
    if chosen:
        # the same names may lie in each split
        images = own or images
    else:
        _check_whole(folder, [*annotations, *images], split, name)
        chosen = annotations
        if split not in (ALL, folder.name):
            text = f"all {len(annotations)} annotation files below {folder} are '{split}'"
            report.add("whole_folder", text)
    listed = tuple(("/".join(stem_parts(file, generic)), file) for file in chosen)
    return VocLayout(
        folder, annotation_root, annotations, listed, image_root, images, generic, complete=True
    )


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
    found = (path.parent for path in folder.glob("*/ImageSets") if path.is_dir())
    nested = sorted(path for path in found if not is_hidden(path.name))
    if len(nested) > 1:
        listed = ", ".join(path.name for path in nested)
        raise UserError(f"data set '{name}': {folder} holds {listed}; name one of them")
    return nested[0] if nested else folder


def _files(
    folder: Path, names: Sequence[str], suffixes: Sequence[str], given: str
) -> tuple[Path, tuple[str, ...]]:
    """Return the files below the folder of one of these names, in any case, and that folder; those
    of all folders if it has none. A folder that is given is the only one."""
    if given:
        return Path(given), tuple(files_below(given, suffixes))
    try:
        folders = [entry.name for entry in os.scandir(folder) if entry.is_dir()]
    except OSError:
        folders = []
    named = [f for name in names for f in sorted(folders) if f.lower() == name]
    for root in (*(folder / name for name in named), folder):
        if found := files_below(root, suffixes):
            return root, tuple(found)
    return folder / (named[0] if named else ""), ()


def _folders(path: str) -> tuple[str, ...]:
    return PurePosixPath(path).parts[:-1]


def _list_of(folder: Path, split: str, name: str, report: Report) -> Path | None:
    """Return the list of a split; None if the folder has no lists."""
    main = folder / "ImageSets/Main"
    for place in (main, folder / "ImageSets", folder):
        if (path := place / f"{split}.txt").is_file():
            return path
    of_classes = [path for path in sorted(main.glob(f"*_{split}.txt")) if not is_hidden(path.name)]
    if of_classes:
        first, *others = ([x.split()[:1] for x in _lines(p, name, report)] for p in of_classes)
        if any(sorted(other) != sorted(first) for other in others):
            raise UserError(
                f"data set '{name}' has no {main / split}.txt, and the lists of its classes, such"
                f" as {of_classes[0].name}, differ in their images; write one"
            )
        report.add("whole_folder", f"{of_classes[0]} has the images of '{split}'")
        return of_classes[0]
    below = (str(path.relative_to(folder)) for path in folder.glob("ImageSets/**/*.txt"))
    lists = sorted(file for file in below if not has_hidden_part(file))
    if not lists:
        lists = sorted(path.name for path in folder.glob("*.txt") if is_split(path.stem))
    if lists:
        splits = [stem for file in lists if (stem := Path(file).stem) != split]
        known = ", ".join(lists[:5])
        raise UserError(
            f"data set '{name}' has no split {main / split}.txt"
            f"{did_you_mean(split, splits) or f'; there are {known}'}"
        )
    return None


def _check_whole(folder: Path, files: Sequence[str], split: str, name: str) -> None:
    """Refuse a split if others can be seen, or if it is one that must not be all."""
    if split == folder.name:
        return
    parts = {part for file in files for part in _folders(file)}
    splits = sorted(filter(is_split, parts))
    if splits or is_held_out(split):
        advice = f"; there are the folders {', '.join(splits)}"
        if not splits:
            advice = f"; SPLIT {ALL} takes all annotations as they are"
        raise UserError(
            f"data set '{name}' has no split '{split}': {folder} holds neither"
            f" ImageSets/Main/{split}.txt nor a folder {split}{advice}"
        )


def _lines(path: Path, name: str, report: Report) -> list[str]:
    try:
        lines = [line.strip() for line in read_text(path, report).splitlines()]
    except (OSError, ValueError) as error:
        raise UserError(f"data set '{name}': cannot read {path}: {error}") from error
    return [line for line in lines if line]


def _listed(path: Path, stems: Stems, name: str, report: Report) -> tuple[tuple[str, str], ...]:
    """Return the images of a list and the annotation file of each.

    A second column, as the lists of one class have, says whether the class is on an image. The
    image belongs to the split in any case.
    """
    listed = []
    for line in _lines(path, name, report):
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
