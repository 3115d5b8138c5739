"""Semantic maps of panoptic data sets: what Detectron2's Panoptic FPN learns stuff from."""

from __future__ import annotations

import functools
import os
import signal
from collections.abc import Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from robust_det.core.errors import UserError, reason_of
from robust_det.core.files import write_atomically
from robust_det.core.locks import sole_writer
from robust_det.core.progress import progress_bar
from robust_det.data.detection.checking.listing import Listing
from robust_det.data.detection.map_notes import MapNotes, fingerprint
from robust_det.data.detection.readers.panoptic_json import PanopticSource
from robust_det.data.detection.segments import (
    IGNORED,
    no_segments,
    read_ids,
    read_panoptic,
    semantic_places,
)

__all__ = ["make_semantic_maps", "semantic_map"]

# images that a process gets at once: a few seconds of work
_SHARE = 50


def make_semantic_maps(
    name: str, source: PanopticSource, workers: int, overwrite: bool = False
) -> int:
    """Write the semantic maps of a data set that are not there yet, or of earlier annotations.

    Args:
        name: of the data set, for messages.
        source: where it is; maps go to its ``stuff_root``.
        workers: processes.
        overwrite: make all maps again.

    Returns:
        How many were written.

    Raises:
        UserError: annotations or segments are missing or broken, a map cannot be written, or
            another process is at work there.
    """
    panoptic, sha256 = read_panoptic(source.panoptic_json, name)
    if not _work(name, source, panoptic, overwrite).due:
        return 0
    with sole_writer(source.stuff_root):
        # once more: what another process has made meanwhile is there
        work = _work(name, source, panoptic, overwrite)
        # in this order a map that is there agrees with its note, whenever this ends
        _remove(work.outdated)
        agreeing = list(dict.fromkeys((*work.agreeing, sha256)))
        MapNotes(agreeing, work.notes).write(source.stuff_root)
        _make_all(name, len(panoptic["annotations"]), work.due, workers)
    return len(work.due)


@dataclass(frozen=True)
class _Work:
    """What is to be done for a data set.

    Attributes:
        due: segments' file, map and the class of each segment's id, of each map that is to be made.
        outdated: maps that are there and will no longer agree.
        agreeing, notes: see :class:`.MapNotes`.
    """

    due: list[tuple[str, str, dict[int, int]]]
    outdated: list[str]
    agreeing: list[str]
    notes: dict[str, str]


def _work(name: str, source: PanopticSource, panoptic: Mapping[str, Any], overwrite: bool) -> _Work:
    places, listing = semantic_places(panoptic["categories"]), Listing()
    notes = MapNotes.of(source.stuff_root)
    due, outdated, agreeing = [], [], notes.annotations
    for annotation in panoptic["annotations"]:
        # a name that several files fit is refused where the data set is checked
        found = listing.find(source.panoptic_root, annotation["file_name"])
        file = found[0] if len(found) == 1 else annotation["file_name"]
        segments = os.path.join(source.panoptic_root, file)
        made = os.path.join(source.stuff_root, file)
        is_there, made_from = listing.has(made), fingerprint(annotation, places)
        if not notes.agree(file, made_from):
            agreeing = []
        elif is_there and not overwrite:
            continue
        classes = _classes(annotation, places, source.panoptic_json)
        due.append((segments, made, classes))
        notes.maps[file] = made_from
        if is_there:
            outdated.append(made)
    if missing := listing.missing(segments for segments, _, _ in due):
        if len(missing) == len(panoptic["annotations"]):
            files = [annotation["file_name"] for annotation in panoptic["annotations"]]
            raise no_segments(name, files, source.panoptic_root)
        raise UserError(
            f"data set '{name}' lacks the segments of {len(missing)} images, such as"
            f" {min(missing)}; unpack COCO's panoptic annotations there"
        )
    return _Work(due, outdated, agreeing, notes.maps)


def _make_all(
    name: str, images: int, due: Sequence[tuple[str, str, Mapping[int, int]]], workers: int
) -> None:
    with (
        progress_bar(images, f"semantic maps of {name}", "images") as bar,
        # Ctrl-C ends this process, which ends them
        ProcessPoolExecutor(
            workers, initializer=signal.signal, initargs=(signal.SIGINT, signal.SIG_IGN)
        ) as pool,
    ):
        bar.update(images - len(due))
        shares = [due[start : start + _SHARE] for start in range(0, len(due), _SHARE)]
        for count in pool.map(_make, shares):
            bar.update(count)


def _remove(maps: Sequence[str]) -> None:
    for path in maps:
        try:
            os.unlink(path)
        except OSError as error:
            raise UserError(f"cannot replace {path}: {reason_of(error)}") from error


def _classes(annotation: Mapping[str, Any], places: Mapping[int, int], path: str) -> dict[int, int]:
    """Return the semantic class of each segment's id."""
    try:
        return {s["id"]: places[s["category_id"]] for s in annotation["segments_info"]}
    except KeyError as error:
        raise UserError(
            f"annotations {path} have a segment of category {error} in {annotation['file_name']},"
            " and do not list it; mend them"
        ) from error


def _make(share: Sequence[tuple[str, str, Mapping[int, int]]]) -> int:
    for segments, made, classes in share:
        image = Image.fromarray(semantic_map(read_ids(segments), classes))
        write_atomically(made, functools.partial(image.save, format="PNG"))
    return len(share)


def semantic_map(ids: NDArray[np.int32], classes: Mapping[int, int]) -> NDArray[np.uint8]:
    """Return the semantic class of each pixel, (H, W); :data:`IGNORED` where there is none.

    Args:
        ids: of the segments, (H, W).
        classes: of each id.
    """
    present, places = np.unique(ids, return_inverse=True)
    table = np.array([classes.get(int(number), IGNORED) for number in present], dtype=np.uint8)
    return table[places].reshape(ids.shape)
