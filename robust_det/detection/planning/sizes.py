"""How many images and objects a data set has, and how large they are."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from robust_det.data.detection.source import Reading

__all__ = ["Sizes", "sizes_of"]

_LOOKED_AT = 5000  # images, enough for quantiles


@dataclass(frozen=True)
class Sizes:
    """What a schedule depends on.

    Attributes:
        images, objects: how many; crowds are objects too.
        short, long: median sides of the images, in pixels.
        object_side: lower quartile of the root of width times height, in pixels of the images.
        outlined: share of the objects with an outline, in [0, 1].
    """

    images: int
    objects: int
    short: float
    long: float
    object_side: float
    outlined: float = 0.0


def sizes_of(reading: Reading, chosen: Sequence[int] | None = None) -> Sizes:
    """Return the sizes of a sound data set; of a large one, those of every so many images.

    Args:
        reading: of it.
        chosen: which images, by their places; all if None.
    """
    images = reading.images
    places = range(len(images)) if chosen is None else chosen
    step = max(1, len(places) // _LOOKED_AT)
    sides, objects, outlined = [], [], 0
    for place in places[::step]:
        image, annotations, _ = images[place]
        sides.append(sorted((image["width"], image["height"])))
        for annotation in annotations:
            width, height = annotation["bbox"][2:]
            objects.append((max(width, 0) * max(height, 0)) ** 0.5)
            outlined += bool(annotation.get("segmentation"))
    short, long = np.median(np.array(sides, dtype=np.float64), axis=0)
    return Sizes(
        len(places),
        sum(images.objects_before(place + 1) - images.objects_before(place) for place in places),
        float(short),
        float(long),
        float(np.percentile(objects, 25)) if objects else float(short) / 4,
        outlined / max(len(objects), 1),
    )
