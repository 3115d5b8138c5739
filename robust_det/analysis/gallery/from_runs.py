"""The pictures that the runs drew at their end, for want of better ones."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from statistics import fmean

from robust_det.analysis.gallery.gallery import Column, Gallery, Tile
from robust_det.analysis.grouping import Row, Setting
from robust_det.analysis.runs import Run
from robust_det.core.errors import counted
from robust_det.records.detection import Picture

__all__ = ["pictures_of_runs"]

_SUFFIXES = (".jpg", ".jpeg", ".png", ".webp")


def pictures_of_runs(setting: Setting, most: int) -> Gallery:
    """Collect the pictures of the first run of each backbone that has any.

    Those that are missing are said, not fatal.

    Args:
        setting: whose runs.
        most: how many images at most; those that standard and robust detectors differ most on come
            first.
    """
    gallery = Gallery()
    runs = [run for row in setting.rows for run in row.runs if run.pictures]
    without = [run for run in runs if _came_without(run)]
    if without:
        folders = ", ".join(str(run.folder) for run in without)
        gallery.problems.append(f"Records came without their pictures: {folders}.")
    first = [(row, [r for r in row.runs if r in runs and r not in without]) for row in setting.rows]
    shown = [(row, there[0]) for row, there in first if there]
    pictures = [(row, picture) for row, run in shown for picture in run.pictures]
    images = _most_different_first(pictures)[:most]
    gallery.rows = {image: [Tile()] * (1 + len(shown)) for image in images}
    gallery.how_to_read = _how_to_read([picture for _, picture in pictures]) if images else ""
    numbers = {image: number for number, image in enumerate(images)}
    for column, (row, run) in enumerate(shown, start=1):
        gallery.columns.append(Column.of(row, run))
        for picture in (p for p in run.pictures if p.image in numbers):
            tiles, number = gallery.rows[picture.image], numbers[picture.image]
            path = _copied(
                gallery, run, picture.prediction, f"{setting.letter}_run{column}", number
            )
            tiles[column] = Tile(path, _words(picture))
            if tiles[0].path is None:  # every run draws the same: the first one is enough
                path = _copied(
                    gallery, run, picture.ground_truth, f"{setting.letter}_truth", number
                )
                objects = "" if picture.objects is None else counted(picture.objects, "object")
                tiles[0] = Tile(path, objects)
    return gallery


def _words(picture: Picture) -> str:
    return "" if picture.found is None else f"{picture.found} found, {picture.false} false"


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
        return "The same images for all detectors, as the runs chose them."
    return (
        "The same images for all detectors, which the runs chose so that each class is seen; first"
        " those that standard and robust detectors differ most on. Detections with a score of"
        f" {' or '.join(f'{score:g}' for score in scores)} and more are drawn. Found is an object"
        " that one of them has with its class at a box IoU of 0.5, false is one that has none."
    )


def _came_without(run: Run) -> bool:
    """Whether the record names several pictures and none is there: one sentence says it."""
    paths = [path for p in run.pictures for path in (p.prediction, p.ground_truth)]
    return len(run.pictures) > 1 and not any((run.folder / path).exists() for path in paths)


def _copied(gallery: Gallery, run: Run, path: str, part: str, number: int) -> str | None:
    """Return where a picture goes, or None, with the reason noted, if it cannot be shown."""
    source = _source(gallery, run, path)
    if source is None:
        return None
    # our own names: those of a record may clash or hold anything
    name = f"pictures/{part}_{number:03d}{source.suffix.lower()}"
    gallery.files[name] = source
    return name


def _source(gallery: Gallery, run: Run, path: str) -> Path | None:
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
