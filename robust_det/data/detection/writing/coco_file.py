"""A checked data set as a file in COCO's format, for any tool that reads it."""

from __future__ import annotations

import json
import os
import shutil
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from robust_det.core.errors import UserError, counted
from robust_det.core.files import write_atomically
from robust_det.core.outputs import require_new
from robust_det.data.detection.canonical.entries import DIFFICULT, canonical_class
from robust_det.data.detection.checking.images import Depth
from robust_det.data.detection.source import Reading, Source
from robust_det.data.walking import has_hidden_part

__all__ = [
    "coco_entry",
    "copy_images",
    "file_of",
    "in_words",
    "read_sound",
    "write_coco",
    "written_depth",
]


def file_of(role: str) -> str:
    """Return the name of the file of a part of a data set: ``instances_train.json``; that of all of
    it is ``instances.json``."""
    return f"instances_{role}.json" if role and role != "all" else "instances.json"


def coco_entry(name: str, path: Path) -> dict[str, Any]:
    """Return the entry of ``DATASETS.CUSTOM`` for a file of :func:`write_coco`."""
    return {"NAME": name, "JSON": str(path.absolute()), "IMAGES": str(path.parent.absolute())}


def read_sound(name: str, source: Source, lenient: bool = False) -> Reading:
    """Read and check a data set that is to be written.

    Args:
        name: for messages.
        source: where it is.
        lenient: leave out or mend what is unsound, and say so by ``report.cleaned()``.

    Raises:
        UserError: there are problems, or no objects.
    """
    reading = source.read(name, written_depth(lenient))
    report = reading.report
    if report.problems and (not lenient or report.hopeless):
        way = "" if report.hopeless or lenient else ", or give --lenient to go on without"
        raise UserError(f"{report.complaint(False)}{way}")
    if not reading.images.objects:
        raise UserError(f"data set '{name}' has no objects")
    return reading


def written_depth(lenient: bool) -> Depth:
    """Return how closely to look at images before they are handed on."""
    # what cannot be decoded shall not be handed on by who asks to have it left out
    return Depth.PIXELS if lenient else Depth.HEADERS


def in_words(reading: Reading) -> str:
    """Return how many images, objects and classes there are."""
    images = reading.images
    outlines = {"none": "boxes", "rle": "masks as run lengths", "polygon": "masks as polygons"}
    return (
        f"{counted(len(images), 'image')}, {counted(images.objects, 'object')}"
        f" ({outlines[images.masks]}), {counted(len(reading.canonical_classes()), 'class', 'es')}"
    )


def write_coco(
    path: Path, reading: Reading, chosen: Sequence[int] | None = None, copies: str = ""
) -> None:
    """Write images and objects as COCO JSON.

    Images are named by their paths relative to the file's folder, which is that of images for
    whoever reads it; by whole paths where a folder on the way is hidden. They have the ids by which
    users know them, or numbers from 1. An object that is marked difficult is ``iscrowd``, which
    evaluation ignores, and says so by a key of ours, by which we still train on it.

    Args:
        path: of the file.
        reading: sound.
        chosen: which images, by their places; all if None.
        copies: folder of the copies that :func:`copy_images` makes, which are named if it is given.

    Raises:
        UserError: the file system refuses.
    """
    places = range(len(reading.images)) if chosen is None else chosen
    named = _names(reading, places, path.parent, copies)

    def write(file: Any) -> None:
        heads = [(number, image) for number, (_, image) in named.items()]
        file.write(b'{"images":[')
        for portion in _joined({**image, "id": number} for number, image in heads):
            file.write(portion)
        file.write(b'],"annotations":[')
        owns = dict(zip(places, named, strict=True))
        for portion in _joined(_objects(reading, owns)):
            file.write(portion)
        file.write(b'],"categories":%b}' % _json(_categories(reading)))

    write_atomically(path, write)


def copy_images(
    folder: Path,
    reading: Reading,
    copies: str,
    chosen: Sequence[int] | None = None,
    overwrite: bool = False,
) -> None:
    """Copy the images of a data set to where :func:`write_coco` names them.

    Args:
        folder: of the JSON file.
        reading, chosen, copies: as there.
        overwrite: replace what is there.

    Raises:
        UserError: one is there already, or the file system refuses.
    """
    places = range(len(reading.images)) if chosen is None else {*chosen}
    names = [i["file_name"] for n, (i, _) in enumerate(reading.images.heads()) if n in places]
    targets = [folder / _copy_of(name, copies) for name in names]
    if twice := [target for target, n in Counter(targets).items() if n > 1]:
        raise UserError(f"two images would both be copied to {twice[0]}; rename one of them")
    require_new(targets, overwrite)
    for name, target in zip(names, targets, strict=True):
        source = Path(reading.image_root, name)
        try:
            require_new([target], overwrite)
            target.parent.mkdir(parents=True, exist_ok=True)
            if not (target.exists() and target.samefile(source)):
                shutil.copyfile(source, target)
        except OSError as error:
            reason = error.strerror or str(error)
            raise UserError(f"cannot copy {source} to {target}: {reason}") from error


def _copy_of(name: str, copies: str) -> str:
    # what lies above the folder of images is put into it
    return f"{copies}/{os.path.normpath(name).replace('../', '').lstrip('/')}"


def _names(
    reading: Reading, places: Iterable[int], folder: Path, copies: str
) -> dict[Any, tuple[int, dict[str, Any]]]:
    """Return by the id that an image is given its place and its entry, with the name as written."""
    chosen, own_ids = set(places), reading.own_ids or bool(reading.json_file)
    # a link's parent is that of what it points to
    root, base = os.path.realpath(reading.image_root), os.path.realpath(folder)
    named: dict[Any, tuple[int, dict[str, Any]]] = {}
    for index, (image, original) in enumerate(reading.images.heads()):
        if index in chosen:
            name = image["file_name"]
            whole = os.path.join(root, name)
            there = os.path.relpath(whole, base)
            # what is hidden is no data, unless the whole path says that it is meant
            there = whole if has_hidden_part(there) else there
            name = _copy_of(name, copies) if copies else there
            named[original if own_ids else image["id"]] = (index, {**image, "file_name": name})
    return named


def _objects(reading: Reading, owns: Mapping[int, Any]) -> Iterator[dict[str, Any]]:
    for index, number in owns.items():
        for entry in reading.images[index].objects:
            made = {key: value for key, value in entry.items() if key != "difficult"}
            if entry.get("difficult"):
                made |= {"iscrowd": 1, DIFFICULT: 1}
            yield {**made, "image_id": number}


def _categories(reading: Reading) -> list[dict[str, Any]]:
    made = ((entry, canonical_class(entry)) for entry in reading.categories)
    listed = [{**entry, **own} for entry, own in made if own is not None]
    return sorted(listed, key=lambda c: c["id"])


def _joined(entries: Iterable[Mapping[str, Any]]) -> Iterator[bytes]:
    for number, entry in enumerate(entries):
        yield b"," * (number > 0) + _json(entry)


def _json(value: Any) -> bytes:
    return json.dumps(value, separators=(",", ":")).encode()
