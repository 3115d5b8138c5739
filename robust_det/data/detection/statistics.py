"""Statistics of a data set, and their tables."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from tabulate import tabulate

__all__ = ["box_sides", "dataset_statistics", "objects_per_image", "statistics_text"]

_QUANTILES = (0, 5, 25, 50, 75, 95, 100)
# areas in square pixels that part COCO's APs, APm and APl
_SMALL, _LARGE = 32**2, 96**2
_COMMON_SIZES = 5


def box_sides(document: Mapping[str, Any]) -> NDArray[np.float64]:
    """Return width and height of all boxes, (N, 2), in pixels."""
    sides = [a["bbox"][2:] for a in document["annotations"]]
    return np.array(sides, dtype=np.float64).reshape(-1, 2)


def objects_per_image(document: Mapping[str, Any]) -> NDArray[np.int64]:
    """Return the number of objects of each image, (images,)."""
    counts = Counter(a["image_id"] for a in document["annotations"])
    return np.array([counts[image["id"]] for image in document["images"]], dtype=np.int64)


def dataset_statistics(document: Mapping[str, Any]) -> dict[str, Any]:
    """Return the statistics of a sound document in COCO format, as JSON can hold them.

    Sides are in pixels; ``side`` is the root of width times height; ``aspect`` is width by height.
    Small, medium and large are COCO's, by ``area``.
    """
    annotations, images = document["annotations"], document["images"]
    areas = np.array([a["area"] for a in annotations], dtype=np.float64)
    sides, counts = box_sides(document), objects_per_image(document)
    sides = sides[(sides > 0).all(axis=1)]
    sizes = Counter((image["width"], image["height"]) for image in images)
    return {
        "images": len(images),
        "objects": len(annotations),
        "crowd": sum(bool(a["iscrowd"] or a.get("difficult")) for a in annotations),
        "classes": _classes(document),
        "objects_per_image": {
            "none": int((counts == 0).sum()),
            "mean": round(float(counts.mean()), 3) if len(counts) else 0,
            **_quantiles(counts),
        },
        "by_area": {
            "small": int((areas < _SMALL).sum()),
            "medium": int(((areas >= _SMALL) & (areas < _LARGE)).sum()),
            "large": int((areas >= _LARGE).sum()),
        },
        "width": _quantiles(sides[:, 0]),
        "height": _quantiles(sides[:, 1]),
        "side": _quantiles(np.sqrt(sides.prod(axis=1))),
        "aspect": _quantiles(sides[:, 0] / sides[:, 1]),
        "image_sizes": {
            "different": len(sizes),
            "width": [min(w for w, _ in sizes), max(w for w, _ in sizes)] if sizes else [],
            "height": [min(h for _, h in sizes), max(h for _, h in sizes)] if sizes else [],
            # ties by size, so that the same data give the same file
            "most": [
                [*size, n]
                for size, n in sorted(sizes.items(), key=lambda s: (-s[1], s[0]))[:_COMMON_SIZES]
            ],
        },
        "masks": dict(Counter(_outline(a) for a in annotations)),
    }


def _classes(document: Mapping[str, Any]) -> list[dict[str, Any]]:
    objects = Counter(a["category_id"] for a in document["annotations"])
    seen = {(a["category_id"], a["image_id"]) for a in document["annotations"]}
    images = Counter(category for category, _ in seen)
    return [
        {"name": str(c["name"]), "objects": objects[c["id"]], "images": images[c["id"]]}
        for c in sorted(document["categories"], key=lambda c: c["id"])
    ]


def _quantiles(values: NDArray[Any]) -> dict[str, float]:
    if not len(values):
        return {}
    found = np.percentile(values, _QUANTILES)
    return {f"{q}%": round(float(v), 3) for q, v in zip(_QUANTILES, found, strict=True)}


def _outline(annotation: Mapping[str, Any]) -> str:
    outline = annotation.get("segmentation")
    if not outline:
        return "none"
    return "rle" if isinstance(outline, Mapping) else "polygon"


def statistics_text(statistics: Mapping[str, Any]) -> str:
    """Return the tables of :func:`dataset_statistics` for a terminal."""
    total = max(statistics["objects"], 1)
    areas, sizes = statistics["by_area"], statistics["image_sizes"]
    common = ", ".join(f"{w} x {h} ({n})" for w, h, n in sizes["most"])
    bare = statistics["objects_per_image"]["none"]
    overview = [
        ["images", f"{statistics['images']}, {bare} of them without objects"],
        ["objects", f"{statistics['objects']}, {statistics['crowd']} of them crowds or difficult"],
        ["by area", ", ".join(f"{k} {n} ({100 * n / total:.1f} %)" for k, n in areas.items())],
        ["masks", ", ".join(f"{k} {n}" for k, n in sorted(statistics["masks"].items()))],
        ["image sizes", f"{sizes['different']} different, most: {common}"],
    ]  # fmt: skip
    spread = [
        [label, *statistics[key].values()]
        for key, label in (
            ("objects_per_image", "objects per image"),
            ("width", "box width"),
            ("height", "box height"),
            ("side", "box side"),
            ("aspect", "width / height"),
        )
        if key != "objects_per_image" and statistics[key]
    ]
    per_image = {k: v for k, v in statistics["objects_per_image"].items() if k.endswith("%")}
    if per_image:
        spread.insert(0, ["objects per image", *per_image.values()])
    classes = [
        [c["name"], c["objects"], f"{100 * c['objects'] / total:.1f}", c["images"]]
        for c in statistics["classes"]
    ]
    return "\n\n".join(
        (
            _table(overview, ()),
            _table(spread, ("quantile", *(f"{q}%" for q in _QUANTILES))),
            _table(classes, ("class", "objects", "% of all", "images")),
        )
    )


def _table(rows: Sequence[Sequence[Any]], headers: Sequence[str]) -> str:
    return tabulate(
        rows, headers=headers, tablefmt="simple" if headers else "plain", floatfmt=".4g"
    )
