"""Which pictures of which run stand beside each other on the page."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from statistics import fmean

from robust_det.analysis.grouping import Row, Setting
from robust_det.analysis.runs import Run
from robust_det.core.errors import counted
from robust_det.records.detection import Picture

__all__ = ["Gallery", "build_gallery"]

_SUFFIXES = (".jpg", ".jpeg", ".png", ".webp")


@dataclass
class Gallery:
    """The pictures of a setting: a row an image, the ground truth first, then a column a run.

    Attributes:
        columns: (label, name of the run) of the predictions.
        rows: image name -> one path within the report, or None where there is no picture, per
            column, the ground truth first; those that standard and robust detectors differ most on
            come first.
        counts: image name -> what was found in it, in words, per column as in ``rows``.
        how_to_read: what is drawn, and in which order.
        sources: path within the report -> the file to copy there.
        problems: a sentence per picture that a record names and that cannot be shown.
    """

    columns: list[tuple[str, str]] = field(default_factory=list)
    rows: dict[str, list[str | None]] = field(default_factory=dict)
    counts: dict[str, list[str]] = field(default_factory=dict)
    how_to_read: str = ""
    sources: dict[str, Path] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)


def build_gallery(setting: Setting) -> Gallery:
    """Collect the pictures of a setting's runs; those that are missing are said, not fatal."""
    gallery = Gallery()
    runs = [(row, run) for row in setting.rows for run in row.runs if run.pictures]
    shown = [(row, run) for row, run in runs if not _came_without(run)]
    if without := [str(run.folder) for _, run in runs if _came_without(run)]:
        gallery.problems.append(f"Records came without their pictures: {', '.join(without)}.")
    pictures = [(row, picture) for row, run in shown for picture in run.pictures]
    images = _most_different_first(pictures)
    gallery.rows = {image: [None] * (1 + len(shown)) for image in images}
    gallery.counts = {image: [""] * (1 + len(shown)) for image in images}
    gallery.how_to_read = _how_to_read([picture for _, picture in pictures])
    numbers = {image: number for number, image in enumerate(images)}
    for column, (row, run) in enumerate(shown, start=1):
        seed = f", seed {run.seed}" if len(row.runs) > 1 else ""
        gallery.columns.append((row.label + seed, run.name))
        for picture in run.pictures:
            cells, counts = gallery.rows[picture.image], gallery.counts[picture.image]
            if picture.objects is not None:
                counts[0] = counted(picture.objects, "object")
                counts[column] = f"{picture.found} found, {picture.false} false"
            wanted = [(column, picture.prediction)]
            if cells[0] is None:  # every run draws the same ground truth: the first one is enough
                wanted.append((0, picture.ground_truth))
            for index, path in wanted:
                source = _source(gallery, run, path)
                if source is None:
                    continue
                part = "truth" if index == 0 else f"run{index}"
                number = numbers[picture.image]
                # our own names: those of a record may clash or hold anything
                name = f"pictures/{setting.letter}_{part}_{number:03d}{source.suffix.lower()}"
                gallery.sources[name] = source
                cells[index] = name
    return gallery


def _most_different_first(pictures: Sequence[tuple[Row, Picture]]) -> list[str]:
    """Order images by how far standard and robust detectors differ in what they found there."""
    means: dict[str, list[list[int]]] = {}
    for row, picture in pictures:
        sides = means.setdefault(picture.image, [[], []])
        if picture.found is not None and picture.false is not None:
            sides[row.first.eps > 0].append(picture.found - picture.false)

    def difference(image: str) -> float:
        standard, robust = means[image]
        return abs(fmean(robust) - fmean(standard)) if standard and robust else 0.0

    return sorted(means, key=difference, reverse=True)


def _how_to_read(pictures: Sequence[Picture]) -> str:
    scores = sorted({picture.score for picture in pictures if picture.score is not None})
    if not scores:
        return "The same images for all detectors."
    return (
        "The same images for all detectors, chosen so that each class is seen; first those that"
        " standard and robust detectors differ most on. Detections with a score of"
        f" {' or '.join(f'{score:g}' for score in scores)} and more are drawn. Found is an object"
        " that one of them has with its class at a box IoU of 0.5, false is one that has none."
    )


def _came_without(run: Run) -> bool:
    """Whether the record names several pictures and none is there: one sentence says it."""
    paths = [path for p in run.pictures for path in (p.prediction, p.ground_truth)]
    return len(run.pictures) > 1 and not any((run.folder / path).exists() for path in paths)


def _source(gallery: Gallery, run: Run, path: str) -> Path | None:
    """Return the file of a picture, or None, with the reason noted, if it cannot be shown."""
    source = (run.folder / path).resolve()
    if not source.is_relative_to(run.folder.resolve()) or source.suffix.lower() not in _SUFFIXES:
        # a record from elsewhere shall not make us copy private files into a page that is shared
        problem = f"Picture '{path}' of run {run.name} is no image inside the run's folder."
    elif not source.is_file():
        problem = f"Picture '{path}' of run {run.name} is missing."
    else:
        return source
    if problem not in gallery.problems:
        gallery.problems.append(problem)
    return None
