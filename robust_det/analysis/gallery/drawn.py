"""Pictures that the comparison draws, from detections, ground truth and image files."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from PIL import Image

from robust_det.analysis.gallery.choice import HOW_CHOSEN, Chosen, choose, disagreements
from robust_det.analysis.gallery.drawing import (
    FALSE,
    FOUND,
    IGNORED,
    MISSED,
    OBJECT,
    Mark,
    draw,
    jpeg,
)
from robust_det.analysis.gallery.gallery import Column, Gallery, Tile
from robust_det.analysis.gallery.scenes import SCORE, Findings, Scenes, look
from robust_det.analysis.grouping import Setting
from robust_det.analysis.options import Options
from robust_det.analysis.significance.evidence import find_images
from robust_det.core.errors import FileError, counted, naming, reason_of
from robust_det.data.images import open_image

__all__ = ["draw_gallery"]

_LEGEND = (
    (OBJECT.colour, "object of the ground truth"),
    (FOUND.colour, "found"),
    (FALSE.colour, "false: no object of that class there, or one found already"),
    (MISSED.colour, "missed (dashed)"),
    (IGNORED.colour, "crowd or difficult, not counted (dashed)"),
)


def draw_gallery(setting: Setting, options: Options) -> Gallery:
    """Choose images of the first test set, and draw what each backbone's first run found in them.

    Args:
        setting: whose tasks are of boxes or masks.
        options: how many images, and where ground truth and images may be.

    Raises:
        UserError: ground truth, detections or images are missing, or not those of the records.
    """
    scenes = look(setting, options.annotations)
    first = next(iter(scenes.images.values()))
    folder = find_images(scenes.runs[0].run, scenes.data, first["file_name"], options.images)
    objects = {image: len(things) for image, things in scenes.objects.items()}
    shown = [one for one in scenes.runs if one.run is one.row.first]
    gallery = Gallery(how_to_read=_how_to_read(len(shown)), legend=list(_LEGEND))
    gallery.columns += [Column.of(one.row, one.run) for one in shown]
    for number, chosen in enumerate(choose(disagreements(scenes), objects, options.pictures)):
        _add(gallery, setting.letter, number, chosen, folder, scenes, shown)
    return gallery


def _how_to_read(backbones: int) -> str:
    chosen = HOW_CHOSEN if backbones > 1 else "Images are chosen so that each class is seen."
    return (
        f"{chosen} Detections with a score of {SCORE:g} and more count; one finds an object of its"
        " class at a box IoU of 0.5 and more. Words that would cover others are left out."
        " The pictures are of each backbone's first seed."
    )


def _add(
    gallery: Gallery,
    letter: str,
    number: int,
    chosen: Chosen,
    folder: Path,
    scenes: Scenes,
    shown: Sequence[Findings],
) -> None:
    image, name = scenes.images[chosen.image], scenes.classes[chosen.category]
    row = str(image["file_name"])
    gallery.reasons[row] = f"for {name}"
    if len(shown) > 1:
        gallery.reasons[row] += f", disagreement {chosen.disagreement:.1f}"
    pixels, problem = _opened(folder, image)
    if pixels is None:
        gallery.problems.append(problem)
    objects = scenes.objects.get(chosen.image, ())
    counting = sum(not thing.get("iscrowd") for thing in objects)
    truth = [_object(t, scenes.classes, IGNORED if t.get("iscrowd") else OBJECT) for t in objects]
    drawn = [("truth", counted(counting, "object"), truth)]
    for column, one in enumerate(shown, 1):
        marks, found, false = _marks(one, chosen.image, objects, scenes.classes)
        drawn.append((f"run{column}", f"{found} found, {false} false", marks))
    tiles = []
    for part, words, marks in drawn:
        path = None
        if pixels is not None:
            path = f"pictures/{letter}_{part}_{number:03d}.jpg"
            gallery.files[path] = jpeg(draw(pixels, marks))
        tiles.append(Tile(path, words))
    gallery.rows[row] = tiles


def _opened(folder: Path, image: Mapping[str, Any]) -> tuple[Image.Image | None, str]:
    """Return an image, or what is wrong with it."""
    path = folder / image["file_name"]
    try:
        with naming(path):
            pixels = open_image(path).convert("RGB")
    except (FileError, OSError) as error:
        return None, f"Image {path} cannot be shown: {reason_of(error)}."
    annotated = image.get("width", pixels.width), image.get("height", pixels.height)
    if pixels.size != annotated:
        sizes = "{} x {}, annotated as {} x {}".format(*pixels.size, *annotated)
        return None, f"Image {path} cannot be shown: it is {sizes}."
    return pixels, ""


def _object(thing: Mapping[str, Any], classes: Mapping[int, str], kind: Any) -> Mark:
    return Mark(thing["bbox"], kind, classes[thing["category_id"]], thing.get("segmentation"))


def _marks(
    one: Findings, image: int, objects: Sequence[Mapping[str, Any]], classes: Mapping[int, str]
) -> tuple[list[Mark], int, int]:
    """What a run found in an image, false and missed before what is right; counts of both."""
    detections = one.detections.get(image, ())
    hits = one.hits.get(image)
    if hits is None:
        return [], 0, 0
    by_kind: dict[Any, list[Mark]] = {FALSE: [], MISSED: [], FOUND: []}
    for entry, false in zip(detections, hits.false, strict=True):
        kind = FALSE if false else FOUND
        words = f"{classes[entry['category_id']]} {entry['score']:.2f}"
        by_kind[kind].append(Mark(entry["bbox"], kind, words, entry.get("segmentation")))
    for thing, found in zip(objects, hits.found, strict=True):
        if not found and not thing.get("iscrowd"):
            by_kind[MISSED].append(Mark(thing["bbox"], MISSED, classes[thing["category_id"]]))
    marks = [mark for marks in by_kind.values() for mark in marks]
    return marks, int(hits.found.sum()), int(hits.false.sum())
