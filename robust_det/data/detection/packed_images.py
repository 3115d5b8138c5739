"""The images of a data set with their objects, small enough for every process to have them."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple, overload

import numpy as np
from numpy.typing import NDArray

from robust_det.data.detection.annotation_file import Text, parse_json

__all__ = ["AnnotatedImage", "PackedImages", "Packer"]

_NO_SEGMENTS = b",null]"


class AnnotatedImage(NamedTuple):
    """An image of a COCO document, its annotations in their order, and that of its segments in
    COCO's panoptic format, if there is one."""

    image: dict[str, Any]
    objects: list[dict[str, Any]]
    segments: dict[str, Any] | None


@dataclass(frozen=True, eq=False)
class PackedImages(Sequence[AnnotatedImage]):
    """The images of a sound document in the order of their ids; each is parsed when asked for.

    COCO's training images take 0.4 GB so, and 2.5 GB as Python objects. Forked processes share
    them, where Python objects would be copied one by one, as each reading of one writes its
    reference count.

    Attributes:
        content: an :class:`AnnotatedImage` after the other in JSON.
        ends: where each ends, (N,).
        wide: whether each is wider than high, (N,).
        learnable: how many objects of each a detector can learn from, (N,): no crowds, and no
            masks without an area.
        of_class: such objects by category id.
        image_order: places of the images in the order of the document, (N,).
        object_order: place of the image of each annotation, in that order, (objects,).
        masks: see :class:`.DatasetFacts`.
    """

    content: NDArray[np.uint8]
    ends: NDArray[np.int64]
    wide: NDArray[np.bool_]
    learnable: NDArray[np.int64]
    of_class: Mapping[int, int]
    image_order: NDArray[np.int64]
    object_order: NDArray[np.int64]
    masks: str

    def __len__(self) -> int:
        return len(self.ends)

    @overload
    def __getitem__(self, index: int) -> AnnotatedImage: ...

    @overload
    def __getitem__(self, index: slice) -> list[AnnotatedImage]: ...

    def __getitem__(self, index: int | slice) -> AnnotatedImage | list[AnnotatedImage]:
        if isinstance(index, slice):
            return [self[number] for number in range(len(self))[index]]
        return AnnotatedImage(*parse_json(self._text(index)))

    def _text(self, index: int) -> memoryview:
        index = range(len(self))[index]
        start = self.ends[index - 1] if index else 0
        return self.content[start : self.ends[index]].data

    def heads(self) -> Iterator[dict[str, Any]]:
        """Give the images without their objects, in the order of the document."""
        for index in self.image_order.tolist():
            yield self[index].image

    def document(self, categories: Iterable[Mapping[str, Any]]) -> dict[str, Any]:
        """Return the document again; all objects but the categories are new.

        Args:
            categories: those of the document.
        """
        everything = list(self)
        objects = [iter(entry.objects) for entry in everything]
        return {
            "images": [everything[index].image for index in self.image_order.tolist()],
            "annotations": [next(objects[index]) for index in self.object_order.tolist()],
            "categories": list(categories),
        }

    def with_segments(self, segments: Mapping[Any, Mapping[str, Any]]) -> PackedImages:
        """Return the images that have segments, with them.

        Args:
            segments: the panoptic annotation of each image that is kept, by image id.
        """
        content, ends, kept = bytearray(), [], np.zeros(len(self), bool)
        of_class: Counter[int] = Counter()
        for index, entry in enumerate(self):
            found = segments.get(entry.image["id"])
            if found is None:
                continue
            kept[index] = True
            content += self._text(index)[: -len(_NO_SEGMENTS)]
            content += b",%b]" % json.dumps(found).encode()
            ends.append(len(content))
            of_class.update(a["category_id"] for a in entry.objects if _is_learnable(a))
        places = np.cumsum(kept) - 1
        return replace(
            self,
            content=np.frombuffer(content, np.uint8),
            ends=np.array(ends, np.int64),
            wide=self.wide[kept],
            learnable=self.learnable[kept],
            of_class=of_class,
            image_order=places[self.image_order[kept[self.image_order]]],
            object_order=places[self.object_order[kept[self.object_order]]],
        )


class Packer:
    """Packs the sound images of a document, and its objects one after the other.

    Args:
        images: sound ones by id, in the order of the document.
        texts: of those that have one.
    """

    def __init__(self, images: Mapping[Any, dict[str, Any]], texts: Mapping[Any, Text]) -> None:
        self._images, self._image_texts = images, texts
        self._places = {number: place for place, number in enumerate(sorted(images))}
        self._objects: list[list[Text]] = [[] for _ in images]
        self._learnable = [0] * len(images)
        self._of_class: list[int] = []
        self._order: list[int] = []
        self._without_mask = self._with_runs = False
        self.classes: set[int] = set()

    def add(self, annotation: dict[str, Any], text: Text | None) -> None:
        """Add an object of one of the images.

        Args:
            annotation: sound.
            text: of it, if it was not changed.
        """
        place, category = self._places[annotation["image_id"]], annotation["category_id"]
        self._objects[place].append(_text_of(annotation) if text is None else text)
        self._order.append(place)
        self.classes.add(category)
        if annotation["iscrowd"]:
            return
        outline = annotation.get("segmentation")
        if not outline:
            self._without_mask = True
        elif isinstance(outline, dict):
            self._with_runs = True
        if _is_learnable(annotation):
            self._learnable[place] += 1
            self._of_class.append(category)

    def is_empty(self, number: Any) -> bool:
        """Return whether no object of an image was added."""
        return not self._objects[self._places[number]]

    def packed(self) -> PackedImages:
        """Return all that was added."""
        content, ends, wide = bytearray(), [], []
        for number, place in self._places.items():
            image = self._images[number]
            content += b"["
            content += self._image_texts.get(number) or _text_of(image)
            content += b",["
            content += b",".join(self._objects[place])  # type: ignore[arg-type]
            content += b"]" + _NO_SEGMENTS
            ends.append(len(content))
            wide.append(image["width"] > image["height"])
            self._objects[place].clear()
        masks = "none" if self._without_mask else "rle" if self._with_runs else "polygon"
        return PackedImages(
            np.frombuffer(content, np.uint8),
            np.array(ends, np.int64),
            np.array(wide, bool),
            np.array(self._learnable, np.int64),
            Counter(self._of_class),
            np.array([self._places[number] for number in self._images], np.int64),
            np.array(self._order, np.int64),
            masks,
        )


def _text_of(entry: dict[str, Any]) -> bytes:
    # not msgspec's, which has no NaN and ends at 64 bits
    return json.dumps(entry).encode()


def _is_learnable(annotation: Mapping[str, Any]) -> bool:
    if annotation["iscrowd"]:
        return False
    outline = annotation.get("segmentation")
    if not outline or not isinstance(outline, list):
        return True
    # no generator, as there are a million
    for polygon in outline:
        if isinstance(polygon, list) and len(polygon) % 2 == 0 and len(polygon) >= 6:
            return True
    return False
