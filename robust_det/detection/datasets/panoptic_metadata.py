"""What Detectron2 is told about panoptic data sets."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from detectron2.utils.colormap import colormap

from robust_det.data.detection.segments import IGNORED, stuff_names

__all__ = ["panoptic_metadata"]


def panoptic_metadata(categories: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Return what Detectron2's catalog says of its own ``*_panoptic_separated`` data sets.

    Classes are in the order of their ids; see :func:`.stuff_names`.

    Args:
        categories: of panoptic annotations.
    """
    ordered = sorted(categories, key=lambda c: c["id"])
    things = [c for c in ordered if c["isthing"]]
    stuff = [c for c in ordered if not c["isthing"]]
    palette = colormap(rgb=True, maximum=255).astype(int).tolist()
    colours = {c["id"]: _colour(c, palette[i % len(palette)]) for i, c in enumerate(ordered, 1)}
    return {
        "thing_classes": [str(c["name"]) for c in things],
        "thing_dataset_id_to_contiguous_id": {c["id"]: i for i, c in enumerate(things)},
        "thing_colors": [colours[c["id"]] for c in things],
        "stuff_classes": stuff_names(categories),
        "stuff_dataset_id_to_contiguous_id": {
            0: 0,
            **{c["id"]: i for i, c in enumerate(stuff, 1)},
        },
        "stuff_colors": [palette[0], *(colours[c["id"]] for c in stuff)],
        "ignore_label": IGNORED,
    }


def _colour(category: Mapping[str, Any], default: list[int]) -> list[int]:
    """Return a category's RGB, which COCO has and own data need not have."""
    given = category.get("color")
    if not isinstance(given, list) or len(given) != 3:
        return default
    return given if all(type(v) is int and 0 <= v <= 255 for v in given) else default
