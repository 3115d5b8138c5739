"""JSON files: which of them are in COCO's format, of what, and where their images are."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

from robust_det.core.errors import UserError
from robust_det.core.memory import without_garbage_collection
from robust_det.data.detection.annotation_file import Entries, read_coco
from robust_det.data.detection.checking.listing import Listing
from robust_det.data.detection.layouts.layout import role_of
from robust_det.data.walking import is_hidden

__all__ = [
    "OBJECTS",
    "PANOPTIC",
    "CocoFile",
    "coco_entry",
    "look_into",
    "one_task",
    "panoptic_entry",
]

OBJECTS, PANOPTIC = "COCO", "panoptic"
# of a file, enough to tell its kind and its folder of images
_FEW = 50
# COCO's own tasks beside that of objects, by how their files' names begin
_OTHER_TASKS = ("person_keypoints_", "captions_", "stuff_", "image_info_")
_FOLDERS_OF_JSON = ("annotations", "annotation", "labels", "json")


@dataclass(frozen=True)
class CocoFile:
    """A JSON file.

    Attributes:
        path: of it.
        kind: ``COCO`` of objects, ``panoptic``, or empty for neither.
        other: what it is instead, as a message says it; empty if that is not known.
        names: of the first images.
        segments: names of the first PNG files of panoptic segments.
    """

    path: Path
    kind: str = ""
    other: str = ""
    names: tuple[str, ...] = ()
    segments: tuple[str, ...] = ()

    def __str__(self) -> str:
        return str(self.path)


def look_into(path: Path) -> CocoFile:
    """Tell what a JSON file holds.

    Raises:
        OSError: it cannot be read.
    """
    try:
        with without_garbage_collection():
            document, _ = read_coco(path)
            return _kind_of(path, document)
    except (ValueError, RecursionError) as error:
        return CocoFile(path, other=f"is no JSON ({error})")


def _kind_of(path: Path, document: Any) -> CocoFile:
    if isinstance(document, list):
        first = document[0] if document else None
        if isinstance(first, dict) and {"image_id", "score"} <= first.keys():
            return CocoFile(path, other="holds detections of a model, and no annotations")
        if isinstance(first, dict) and {"image", "annotations"} <= first.keys():
            return CocoFile(path, other="is in CreateML's format, which is not read")
        return CocoFile(path, other="holds a list, which COCO's format is not")
    if not isinstance(document, dict):
        return CocoFile(path, other="holds no annotations")
    if "shapes" in document and "imagePath" in document:
        return CocoFile(path, other="is in LabelMe's format, which is not read")
    if "_via_img_metadata" in document or any(
        isinstance(value, dict) and "regions" in value for value in islice(document.values(), 3)
    ):
        return CocoFile(path, other="is in VIA's format, which is not read")
    lists = [document.get(key) for key in ("images", "annotations")]
    if not all(isinstance(one, (list, Entries)) for one in lists):
        lacks = "annotations" if isinstance(lists[0], (list, Entries)) else "images"
        return CocoFile(path, other=f"has no list '{lacks}', which COCO's format needs")
    images, annotations = (list(_first(one)) for one in lists)
    names = tuple(i["file_name"] for i in images if isinstance(i.get("file_name"), str))
    if any("segments_info" in one for one in annotations):
        segments = tuple(str(a.get("file_name")) for a in annotations)
        return CocoFile(path, PANOPTIC, names=names, segments=segments)
    if annotations and all("bbox" not in one and "caption" in one for one in annotations):
        return CocoFile(path, other="holds captions, and no objects")
    return CocoFile(path, OBJECTS, names=names)


def _first(entries: Any) -> Iterator[dict[str, Any]]:
    return (entry for entry in islice(entries, _FEW) if isinstance(entry, dict))


def one_task(files: Sequence[CocoFile], notes: list[str]) -> list[CocoFile]:
    """Return the files of objects where those of COCO's other tasks lie beside them, and say so."""
    own = [file for file in files if file.path.name.startswith("instances_")]
    others = [file for file in files if file not in own]
    if own and others and all(f.path.name.startswith(_OTHER_TASKS) for f in others):
        listed = ", ".join(sorted(file.path.name for file in others))
        notes.append(f"instances_*.json are taken; {listed} are left out")
        return own
    return list(files)


def coco_entry(file: CocoFile, name: str) -> dict[str, Any]:
    """Return the entry of a file of objects.

    Raises:
        UserError: its images are in none of the folders around it.
    """
    return {
        "NAME": name,
        "JSON": str(file.path.absolute()),
        "IMAGES": _folder_of(file, file.names, "images"),
    }


def panoptic_entry(file: CocoFile, name: str) -> dict[str, Any]:
    """Return the entry of a panoptic file, with that of its objects where it lies beside it.

    Raises:
        UserError: its images or segments are in none of the folders around it.
    """
    entry = {
        "NAME": name,
        "PANOPTIC": str(file.path.absolute()),
        "SEGMENTS": _folder_of(file, file.segments, "segments"),
        "IMAGES": _folder_of(file, file.names, "images"),
    }
    objects = file.path.with_name(file.path.name.replace("panoptic_", "instances_"))
    if objects != file.path and objects.is_file():
        entry["JSON"] = str(objects.absolute())
    return entry


def _folder_of(file: CocoFile, names: Sequence[str], what: str) -> str:
    """Return the folder below which names mean files."""
    path = file.path.absolute()
    if not names:
        raise UserError(f"{path} lists no {what}; export it again with them")
    looked = list(dict.fromkeys(_candidates(path)))
    listing = Listing()
    found = {f: sum(len(listing.find(str(f), name)) == 1 for name in names) for f in looked}
    most = max(found.values())
    # the nearest to the file that has most of them
    best = [folder for folder, count in found.items() if count == most > 0]
    if not best:
        raise UserError(
            f"the {what} of {path}, such as {names[0]}, are in none of the {len(looked)} folders in"
            f" and beside its own, {path.parent}",
            f"name their folder as {what.upper()} of an entry of DATASETS.CUSTOM",
        )
    role = role_of(path.stem)
    return str(next((f for f in best if role and role_of(f.name) == role), best[0]))


def _candidates(path: Path) -> Iterator[Path]:
    """Give the folders in which images of a JSON file usually are, the likeliest first."""
    own = path.parent
    yield own
    yield own / path.stem
    top = own.parent if own.name.lower() in _FOLDERS_OF_JSON else own
    for folder in dict.fromkeys((top, own, own.parent)):
        below = _folders(folder)
        yield from below
        for one in below if folder != own.parent or folder == top else ():
            yield from _folders(one)
        yield folder


def _folders(folder: Path) -> list[Path]:
    try:
        names = sorted(entry.name for entry in os.scandir(folder) if entry.is_dir())
    except OSError:
        return []
    return [folder / name for name in names if not is_hidden(name)]
