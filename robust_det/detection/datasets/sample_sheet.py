"""A data set to look at: a sheet of sample images with their objects, and histograms."""

from __future__ import annotations

import logging
import math
import os
import random
from collections import defaultdict
from collections.abc import Mapping
from typing import Any

import matplotlib
import matplotlib.font_manager
import numpy as np
from detectron2.data.catalog import Metadata
from detectron2.structures import BoxMode
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, NullLocator
from PIL import Image, ImageDraw, ImageFont

from robust_det.core.errors import FileError, naming, reason_of
from robust_det.core.progress import progress_bar
from robust_det.data.detection.canonical.runs import compressed_runs
from robust_det.data.detection.statistics import box_sides, objects_per_image
from robust_det.data.images import open_image
from robust_det.detection.colours import ClassVisualizer, drawable

__all__ = ["histograms", "sample_sheet"]

logger = logging.getLogger(__name__)

_TILE, _GAP, _NAME = 400, 6, 18  # pixels
_INK, _FILL = "#1f2328", "#2f7fe0"
_MOST_CLASSES = 30
# of Matplotlib, which has letters that Pillow's own lacks
_FONT = ImageFont.truetype(matplotlib.font_manager.findfont("DejaVu Sans"), 12)


def sample_sheet(
    document: Mapping[str, Any], image_root: str, samples: int, seed: int = 0
) -> Image.Image:
    """Draw images with their names, boxes, masks and class names in a grid.

    Args:
        document: sound, in COCO format.
        image_root: the folder that image names are relative to.
        samples: how many images at most; those with objects come first.
        seed: of the choice, which depends on nothing else.
    """
    things = defaultdict(list)
    for annotation in document["annotations"]:
        things[annotation["image_id"]].append(annotation)
    order = sorted(document["images"], key=lambda image: str(image["file_name"]))
    random.Random(seed).shuffle(order)
    order.sort(key=lambda image: not things[image["id"]])
    chosen = order[:samples]
    categories = sorted(document["categories"], key=lambda c: c["id"])
    index = {c["id"]: number for number, c in enumerate(categories)}
    metadata = Metadata(thing_classes=[str(c["name"]) for c in categories])
    columns = math.ceil(math.sqrt(len(chosen))) or 1
    rows = math.ceil(len(chosen) / columns) or 1
    step, height = _TILE + _GAP, _TILE + _NAME + _GAP
    sheet = Image.new("RGB", (columns * step + _GAP, rows * height + _GAP), "white")
    pen = ImageDraw.Draw(sheet)
    with progress_bar(len(chosen), "draw", "images") as bar:
        for number, image in enumerate(chosen):
            tile = _tile(image, things[image["id"]], image_root, metadata, index)
            row, column = divmod(number, columns)
            left, top = _GAP + column * step, _GAP + row * height
            pen.text((left, top), _short(str(image["file_name"])), _INK, _FONT)
            top += _NAME
            sheet.paste(tile, (left, top))
            # where a white image ends
            edge = (left - 1, top - 1, left + tile.width, top + tile.height)
            pen.rectangle(edge, outline="darkgrey")
            bar.update()
    return sheet


def _short(name: str) -> str:
    """The name, or as much of its end as there is room for above a tile."""
    if _FONT.getlength(name) <= _TILE:
        return name
    while _FONT.getlength(f"…{name}") > _TILE:
        name = name[1:]
    return f"…{name}"


def _tile(
    image: Mapping[str, Any],
    annotations: list[dict[str, Any]],
    image_root: str,
    metadata: Metadata,
    index: Mapping[int, int],
) -> Image.Image:
    path = os.path.join(image_root, image["file_name"])
    try:
        with naming(path):
            pixels = np.asarray(open_image(path).convert("RGB"))
    except (FileError, OSError) as error:
        logger.warning(f"{reason_of(error)}; its place on the sheet is grey")
        return Image.new("RGB", (_TILE, _TILE), "lightgrey")
    size = (image["height"], image["width"])
    drawn = {
        "annotations": [
            {
                "bbox": a["bbox"],
                "bbox_mode": BoxMode.XYWH_ABS,
                "category_id": index[a["category_id"]],
                "iscrowd": a["iscrowd"] or a.get("difficult", 0),
                "segmentation": _outline(a.get("segmentation"), size),
            }
            for a in annotations
        ]
    }
    scale = _TILE / max(pixels.shape[:2])
    canvas = ClassVisualizer(pixels, metadata, scale).draw_dataset_dict(drawable(drawn))
    tile = Image.fromarray(canvas.get_image())
    tile.thumbnail((_TILE, _TILE))
    return tile


def _outline(outline: Any, size: tuple[int, int]) -> Any:
    return compressed_runs(outline, *size) if isinstance(outline, dict) else outline


def histograms(document: Mapping[str, Any], title: str) -> Figure:
    """Plot objects per image, sides and shapes of boxes, and objects per class."""
    sides = box_sides(document)
    sides = sides[(sides > 0).all(axis=1)]
    counts = objects_per_image(document)
    with matplotlib.rc_context({"font.size": 9.5, "text.parse_math": False, "text.color": _INK}):
        figure = Figure(figsize=(10, 7), layout="constrained")
        figure.suptitle(title)
        grid = figure.subplots(2, 2)
        most = int(counts.max(initial=0))
        edges = np.linspace(-0.5, most + 0.5, min(most + 1, 60) + 1)
        grid[0, 0].hist(counts, edges, color=_FILL)
        grid[0, 0].set_xlabel("objects per image")
        for axes, values, label in (
            (grid[0, 1], np.sqrt(sides.prod(axis=1)), "box side: root of area, pixels"),
            (grid[1, 0], sides[:, 0] / sides[:, 1], "box width / height"),
        ):
            if len(values):
                low, high = values.min() * 0.95, values.max() * 1.05
                axes.hist(values, np.geomspace(low, high, 41), color=_FILL)
                axes.set_xscale("log")
                # the usual formatter writes powers in TeX, which names of classes must not be
                axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
                axes.xaxis.set_major_formatter("{x:g}")
                axes.xaxis.set_minor_locator(NullLocator())
            axes.set_xlabel(label)
        _class_bars(grid[1, 1], document)
        for axes in grid.flat:
            axes.spines[["top", "right"]].set_visible(False)
    return figure


def _class_bars(axes: Any, document: Mapping[str, Any]) -> None:
    count: dict[int, int] = {c["id"]: 0 for c in document["categories"]}
    for annotation in document["annotations"]:
        count[annotation["category_id"]] += 1
    names = {c["id"]: str(c["name"]) for c in document["categories"]}
    most = sorted(count.items(), key=lambda item: (-item[1], item[0]))[:_MOST_CLASSES]
    axes.bar(range(len(most)), [n for _, n in most], color=_FILL)
    axes.set_xticks(range(len(most)), [names[number][:20] for number, _ in most], rotation=90)
    shown = "objects per class"
    axes.set_xlabel(shown if len(count) <= len(most) else f"{shown}, the first {len(most)}")
