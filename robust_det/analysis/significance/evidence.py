"""A run's detections and their ground truth, found through its record and checked by their hash."""

from __future__ import annotations

import functools
import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from robust_det.analysis.runs import Run
from robust_det.core.errors import UserError
from robust_det.core.files import sha256_file
from robust_det.data.detection.annotation_file import read_json
from robust_det.data.detection.canonical.document import numbered
from robust_det.records.detection import DataSet
from robust_det.records.metrics import COCO_EVALUATOR, VOC_EVALUATOR

__all__ = [
    "Truth",
    "find_detections",
    "find_images",
    "find_truth",
    "has_objects",
    "lacking",
    "read_detections",
    "read_truth",
    "scored_by_coco",
    "scored_tasks",
]

_TASKS = ("bbox", "segm")


def scored_by_coco(run: Run) -> bool:
    """Whether COCO's rules gave the run's AP: those of Pascal VOC are others."""
    used = {evaluator.name for evaluator in run.setting.evaluators}
    return COCO_EVALUATOR in used and VOC_EVALUATOR not in used


def has_objects(task: str) -> bool:
    """Whether a task of a record is one of boxes or masks."""
    return task.rpartition("/")[2] in _TASKS


def scored_tasks(run: Run) -> dict[str, tuple[str, DataSet]]:
    """Return the run's tasks that can be resampled: name in the record -> (bbox or segm, test set).

    Raises:
        UserError: the run's detections are not kept.
    """
    found = {}
    for task in run.metrics:
        name, _, kind = task.rpartition("/")
        sets = [one for one in run.test if name in ("", one.name)]
        if has_objects(task):
            if len(sets) != 1 or sets[0].name not in run.detections:
                raise UserError(
                    f"run {run.path} names no detections for {task}; evaluate it again with"
                    " robust-det train --eval-only"
                )
            found[task] = (kind, sets[0])
    return found


def lacking(runs: Iterable[Run], annotations: Sequence[str | Path]) -> str:
    """Return why not all of some runs have the detections and ground truth that intervals and
    pictures are made of; empty if they do."""
    try:
        for run in runs:
            for _, data in scored_tasks(run).values():
                find_truth(run, data, annotations)
                find_detections(run, data)
    except UserError as error:
        return error.reason
    return ""


def find_detections(run: Run, data: DataSet) -> Path:
    """Return the file of the detections of one test set, in COCO's results format.

    Raises:
        UserError: it is missing, outside of the run's folder, or not that of the record.
    """
    again = "evaluate the run again with robust-det train --eval-only"
    saved = run.detections[data.name]
    path = (run.folder / saved.path).resolve()
    if not path.is_relative_to(run.folder.resolve()):
        raise UserError(f"run record {run.path} names detections outside of its folder; {again}")
    if not path.is_file():
        raise UserError(
            f"the detections {path} of run {run.path} are missing; copy them there, or {again}"
        )
    if sha256_file(path) != saved.sha256:
        raise UserError(f"the detections {path} are not those of the run's record; {again}")
    return path


def find_truth(run: Run, data: DataSet, given: Sequence[str | Path] = ()) -> Path:
    """Return the file of the ground truth of one test set, in COCO's format.

    Without the file that the record names, one with the end of its path below
    ``$DETECTRON2_DATASETS`` will do, by default ``datasets/``.

    Args:
        run: whose record says the file's path and hash.
        data: which test set.
        given: files to use in place of those of the records, where the hash is theirs.

    Raises:
        UserError: there is no such file, or it has another hash than the record says.
    """
    own = Path(data.annotations_file) if data.annotations_file else None
    for path in [*map(Path, given), *_places(own)]:
        if path.is_file() and _hash(path.resolve()) == data.sha256:
            return path.resolve()
    advice = "give the file it was scored on with --annotations FILE"
    if own is None or not own.is_file():
        where = (
            f"{own} is not there, nor the same file below {_root()} (DETECTRON2_DATASETS)"
            if own
            else "its record does not say where they are"
        )
        raise UserError(
            f"run {run.path} needs the annotations of data set '{data.name}', and {where}; {advice}"
        )
    raise UserError(
        f"the annotations {own} have changed since run {run.path} was scored on them; {advice}"
    )


def find_images(run: Run, data: DataSet, name: str, given: Sequence[str | Path] = ()) -> Path:
    """Return the folder of the images of one test set; see :func:`find_truth`.

    Args:
        run, data, given: as there.
        name: of an image in it.

    Raises:
        UserError: there is no such folder.
    """
    own = Path(data.image_folder) if data.image_folder else None
    for folder in [*map(Path, given), *_places(own)]:
        if (folder / name).is_file():
            return folder
    where = (
        f"{name} is not in {own}, nor in the same folder below {_root()} (DETECTRON2_DATASETS)"
        if own
        else "its record does not say where they are"
    )
    raise UserError(
        f"run {run.path} was tested on the images of data set '{data.name}', and {where}; give"
        " their folder with --images DIR"
    )


def _root() -> Path:
    return Path(os.environ.get("DETECTRON2_DATASETS", "datasets"))


def _places(own: Path | None) -> list[Path]:
    """Where a path of a record may lead: there, or its end below ``$DETECTRON2_DATASETS``."""
    if own is None:
        return []
    parts = own.relative_to(own.anchor).parts
    return [own, *(_root().joinpath(*parts[n:]) for n in range(len(parts)))]


@functools.cache
def _hash(path: Path) -> str:
    return sha256_file(path)


@dataclass(frozen=True)
class Truth:
    """Ground truth, numbered as a run numbers it, whose detections name images as annotated.

    Attributes:
        document: in COCO format.
        names: the images' ids as annotated; their numbers are 1, 2, ...
    """

    document: dict[str, Any]
    names: list[Any]

    @functools.cached_property
    def numbers(self) -> dict[Any, int]:
        """The number of each image."""
        return {name: number for number, name in enumerate(self.names, 1)}


@functools.lru_cache(maxsize=2)
def read_truth(path: Path) -> Truth:
    """Read ground truth; the last two files are remembered, as runs share theirs. Do not change it.

    Raises:
        UserError: the file cannot be read.
    """
    return Truth(*numbered(_read(path)))


def read_detections(path: Path, truth: Truth) -> list[dict[str, Any]]:
    """Read detections on the images of a ground truth, and number their images as it does.

    Raises:
        UserError: the file cannot be read, or has detections on other images.
    """
    detections: list[dict[str, Any]] = _read(path)
    for one in detections:
        number = truth.numbers.get(one["image_id"])
        if number is None:
            raise UserError(
                f"the detections {path} are of an image {one['image_id']!r} that the ground truth"
                " does not list; evaluate the run again with robust-det train --eval-only"
            )
        one["image_id"] = number
    return detections


def _read(path: Path) -> Any:
    try:
        return read_json(path)[0]
    except (OSError, ValueError, RecursionError) as error:
        raise UserError(f"{path} cannot be read: {error}") from error
