"""The same annotations as other tools export them: ids, orders, spellings and encodings."""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from hypothesis import strategies as st
from pycocotools import mask

__all__ = ["Exporter", "exporters"]

# what the n-th entry, from 0, is called
IDS: dict[str, Callable[[int], Any]] = {
    "from 0": lambda n: n,
    "from 1": lambda n: n + 1,
    "gaps": lambda n: 7 * n + 3,
    "negative": lambda n: -n,
    "falling": lambda n: 100 - n,
    "huge": lambda n: 2**63 + n,
    "beyond 64 bits": lambda n: 10**30 + n,
    "floats": lambda n: float(n),
    "texts": lambda n: f"frame_{n}é",
    "digits": lambda n: f"{n:06}",
    "mixed": lambda n: n if n % 2 else f"{n}",
    "mixed texts": lambda n: n if n % 2 else f"frame_{n}",
}
# how others refer to it
REFERENCES: dict[str, Callable[[Any], Any]] = {
    "as it is": lambda i: i,
    "as text": lambda i: str(i),
    "as float": lambda i: float(i) if type(i) is int and abs(i) < 2**53 else i,
}
OUTLINES: dict[str, Callable[[Any], Any]] = {
    "polygons": lambda runs: None,
    "compressed": lambda runs: {**runs, "counts": runs["counts"].decode()},
    "bytes printed": lambda runs: {**runs, "counts": str(runs["counts"])},
    "numbers": lambda runs: {**runs, "counts": _numbers(runs)},
}
ENCODINGS = ("utf-8", "utf-8-sig", "utf-16")


def _numbers(runs: Any) -> list[int]:
    counts, current = [0], 0
    for value in mask.decode(runs).flatten(order="F").tolist():
        if value != current:
            counts.append(0)
            current = value
        counts[-1] += 1
    return counts


@dataclass(frozen=True)
class Exporter:
    """How a tool writes a document."""

    images: str
    objects: str
    reference: str
    outline: str
    encoding: str
    escaped: bool
    floats: bool
    first_class: int
    seed: int

    def image_id(self, number: int) -> Any:
        """The id of the image that is the n-th, from 0, in the original."""
        return IDS[self.images](number)

    def rewritten(self, document: Any) -> Any:
        """The document as this tool has it."""
        refer = REFERENCES[self.reference]
        numbers = {image["id"]: n for n, image in enumerate(document["images"])}
        sizes = {i["id"]: (i["height"], i["width"]) for i in document["images"]}
        images = [
            {**image, "id": self.image_id(n), "license": None, "date_captured": 2013}
            for n, image in enumerate(document["images"])
        ]
        if self.floats:
            for image in images:
                image.update(width=float(image["width"]), height=float(image["height"]))
        things = []
        for n, a in enumerate(document["annotations"]):
            polygons = mask.frPyObjects(a["segmentation"], *sizes[a["image_id"]])
            outline = OUTLINES[self.outline](mask.merge(polygons)) or a["segmentation"]
            things.append(
                {
                    **a,
                    "id": IDS[self.objects](n),
                    "image_id": refer(self.image_id(numbers[a["image_id"]])),
                    "category_id": float(a["category_id"]) if self.floats else a["category_id"],
                    "segmentation": outline,
                    "attributes": {"occluded": False},
                    "caption": 5,
                    "keypoints": [[1, 1, 2]],
                }
            )
        shift = self.first_class - min(c["id"] for c in document["categories"])
        categories = [{**c, "id": c["id"] + shift} for c in document["categories"]]
        for a in things:
            a["category_id"] += shift
        rng = random.Random(self.seed)
        for part in (images, things, categories):
            rng.shuffle(part)
        return {"images": images, "annotations": things, "categories": categories}

    def encoded(self, document: Any) -> bytes:
        """A document's bytes."""
        return json.dumps(document, ensure_ascii=self.escaped).encode(self.encoding)


def exporters() -> st.SearchStrategy[Exporter]:
    """All of them."""
    return st.builds(
        Exporter,
        images=st.sampled_from(list(IDS)),
        objects=st.sampled_from(list(IDS)),
        reference=st.sampled_from(list(REFERENCES)),
        outline=st.sampled_from(list(OUTLINES)),
        encoding=st.sampled_from(ENCODINGS),
        escaped=st.booleans(),
        floats=st.booleans(),
        first_class=st.sampled_from([0, 1, -3, 2**40]),
        seed=st.integers(0, 2**32),
    )
