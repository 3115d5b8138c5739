"""Ground truth and detections with known flaws, in COCO's formats: what evaluation is tried on.

There are no images behind them. Objects are ellipses; detections miss, jitter, repeat and confuse
them, and find some that are not there.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from pycocotools import mask

__all__ = ["make_detections", "make_truth"]

_CORNERS = 16


def make_truth(
    images: int, classes: int, objects: float = 7.0, crowds: float = 0.02, seed: int = 0
) -> dict[str, Any]:
    """Return a COCO document of ``images`` images of 640 x 480 pixels.

    About a tenth of the images are empty, and so is the last class. Classes are unequally
    frequent; object sizes cover COCO's small, medium and large.

    Args:
        images, classes: how many.
        objects: mean number of objects in an image that has any.
        crowds: share of the objects that are crowds, with run-length encoded masks.
        seed: equal seeds give equal documents.
    """
    rng = np.random.default_rng([seed, 0])
    width, height = 640, 480
    frequency = 1.0 / np.arange(1, classes + 1) ** 0.7
    frequency[-1] = 0.0 if classes > 1 else 1.0
    annotations: list[dict[str, Any]] = []
    for image in range(images):
        count = 0 if rng.random() < 0.1 else 1 + rng.poisson(objects - 1)
        for category in rng.choice(classes, count, p=frequency / frequency.sum()):
            box = _somewhere(rng, width, height)
            crowd = int(rng.random() < crowds)
            outline = _ellipse(box)
            annotations.append(
                {
                    "id": len(annotations) + 1,
                    "image_id": 1000 + 3 * image,
                    "category_id": 1 + 2 * int(category),
                    "bbox": box,
                    "area": 0.785 * box[2] * box[3],
                    "iscrowd": crowd,
                    "segmentation": _encode(outline, width, height) if crowd else [outline],
                }
            )
    return {
        "info": {},
        "images": [
            {"id": 1000 + 3 * i, "file_name": f"{i}.jpg", "width": width, "height": height}
            for i in range(images)
        ],
        "annotations": annotations,
        "categories": [{"id": 1 + 2 * i, "name": f"class{i}"} for i in range(classes)],
    }


def make_detections(
    truth: dict[str, Any],
    per_image: float = 20.0,
    quality: float = 0.8,
    digits: int = 6,
    masks: bool = False,
    seed: int = 0,
) -> list[dict[str, Any]]:
    """Return detections of a document of :func:`make_truth`, in COCO's results format.

    Args:
        truth: the document.
        per_image: mean number of detections; one image in two hundred has 150 more.
        quality: from 0 to 1; the share of objects found, and how well they are placed and named.
        digits: of the scores; with few, many are equal.
        masks: adds run-length encoded ellipses.
        seed: equal seeds give equal detections.
    """
    rng = np.random.default_rng([seed, 1])
    categories = [c["id"] for c in truth["categories"]]
    objects: dict[int, list[dict[str, Any]]] = {image["id"]: [] for image in truth["images"]}
    for annotation in truth["annotations"]:
        objects[annotation["image_id"]].append(annotation)
    found: list[dict[str, Any]] = []
    for image in truth["images"]:
        width, height = image["width"], image["height"]

        def add(category: int, box: list[float], score: float, image: Any = image) -> None:
            result = {
                "image_id": image["id"],
                "category_id": int(category),
                "bbox": box,
                "score": round(float(np.clip(score, 0.01, 0.999999)), digits),
            }
            if masks:
                result["segmentation"] = _encode(_ellipse(box), image["width"], image["height"])
            found.append(result)

        wanted = rng.poisson(per_image) + 150 * (rng.random() < 0.005)
        used = 0
        for thing in objects[image["id"]]:
            if rng.random() > quality:
                continue
            for _ in range(1 + (rng.random() < 0.25)):  # some twice
                category = thing["category_id"]
                if rng.random() > 0.7 + 0.3 * quality:
                    category = rng.choice(categories)
                spread = rng.exponential(0.3 * (1.05 - quality))
                score = rng.beta(5, 2) - 0.5 * spread
                add(category, _jittered(rng, thing["bbox"], spread), score)
                used += 1
        for _ in range(max(wanted - used, 0)):
            add(rng.choice(categories), _somewhere(rng, width, height), rng.beta(1, 6))
    return found


def _somewhere(rng: np.random.Generator, width: int, height: int) -> list[float]:
    w, h = np.exp(rng.uniform(np.log(8), np.log(300), 2))
    x, y = rng.uniform(0, width - w), rng.uniform(0, height - h)
    return [round(float(v), 2) for v in (x, y, w, h)]


def _jittered(rng: np.random.Generator, box: list[float], spread: float) -> list[float]:
    x, y, w, h = box
    dx, dy, dw, dh = rng.normal(0, spread, 4)
    w, h = w * np.exp(0.5 * dw), h * np.exp(0.5 * dh)
    x, y = min(max(x + dx * w, 0), 630.0), min(max(y + dy * h, 0), 470.0)
    return [round(float(v), 2) for v in (x, y, min(w, 640 - x), min(h, 480 - y))]


def _ellipse(box: list[float]) -> list[float]:
    """The corners ``[x0, y0, x1, y1, ...]`` of an ellipse that fills the box."""
    x, y, w, h = box
    angles = np.linspace(0, 2 * np.pi, _CORNERS, endpoint=False)
    corners = np.stack([x + w / 2 * (1 + np.cos(angles)), y + h / 2 * (1 + np.sin(angles))], 1)
    return [round(float(v), 2) for v in corners.ravel()]


def _encode(outline: list[float], width: int, height: int) -> dict[str, Any]:
    encoded = mask.frPyObjects([outline], height, width)[0]
    return {"size": [height, width], "counts": encoded["counts"].decode()}
