"""The images of a test set with what the runs of a setting found in them."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from robust_det.analysis.grouping import Row, Setting
from robust_det.analysis.runs import Run
from robust_det.analysis.significance.evidence import (
    find_detections,
    find_truth,
    read_detections,
    read_truth,
    scored_tasks,
)
from robust_det.core.progress import progress_bar
from robust_det.data.detection.hits import Boxes, Hits, match_boxes
from robust_det.records.detection import DataSet

__all__ = ["SCORE", "Findings", "Scenes", "look"]

SCORE = 0.5  # of the detections that count in pictures

_Entries = Mapping[int, Sequence[Mapping[str, Any]]]


@dataclass(frozen=True)
class Findings:
    """What a run found in all images.

    Attributes:
        row, run: whose.
        detections: by image, those that count, in COCO's format.
        hits: by image, where there is anything.
    """

    row: Row
    run: Run
    detections: _Entries
    hits: Mapping[int, Hits]


@dataclass(frozen=True)
class Scenes:
    """The first test set of a setting.

    Attributes:
        data: as the first run's record has it.
        images: by number, as annotated.
        classes: their names, by id.
        objects: by image, in COCO's format.
        runs: all of the setting.
    """

    data: DataSet
    images: Mapping[int, Mapping[str, Any]]
    classes: Mapping[int, str]
    objects: _Entries
    runs: Sequence[Findings]


def look(setting: Setting, annotations: Sequence[str | Path]) -> Scenes:
    """Match what the runs of a setting found in the images of its first test set.

    Args:
        setting: scored on boxes or masks.
        annotations: see :func:`~robust_det.analysis.significance.evidence.find_truth`.

    Raises:
        UserError: ground truth or detections are missing or have changed.
    """
    runs = [(row, run) for row in setting.rows for run in row.runs]
    # all files are looked for before the first is read
    sets = [next(iter(scored_tasks(run).values()))[1] for _, run in runs]
    truths = [find_truth(run, data, annotations) for (_, run), data in zip(runs, sets, strict=True)]
    files = [find_detections(run, data) for (_, run), data in zip(runs, sets, strict=True)]
    truth = read_truth(truths[0])
    objects = _by_image(truth.document["annotations"])
    boxes = {image: _boxes(entries, "iscrowd") for image, entries in objects.items()}
    findings = []
    with progress_bar(len(runs), f"look at {sets[0].name}", "run") as bar:
        for (row, run), file in zip(runs, files, strict=True):
            found = _by_image(d for d in read_detections(file, truth) if d["score"] >= SCORE)
            hits = {
                image: match_boxes(boxes.get(image, _NONE), _boxes(found.get(image, ()), "score"))
                for image in sorted({*boxes, *found})
            }
            findings.append(Findings(row, run, found, hits))
            bar.update()
    return Scenes(
        sets[0],
        {image["id"]: image for image in truth.document["images"]},
        {c["id"]: str(c["name"]) for c in truth.document["categories"]},
        objects,
        findings,
    )


def _by_image(entries: Any) -> dict[int, list[Mapping[str, Any]]]:
    out = defaultdict(list)
    for entry in entries:
        out[entry["image_id"]].append(entry)
    return dict(out)


def _boxes(entries: Sequence[Mapping[str, Any]], mark: str) -> Boxes:
    return Boxes.of([(e["bbox"], e["category_id"], e.get(mark, 0)) for e in entries])


_NONE = Boxes.of([])
