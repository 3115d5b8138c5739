"""The images of a data set with their objects, small enough for every process to have them."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple, overload

import msgspec
import numpy as np
from numpy.typing import NDArray

from robust_det.data.detection.annotation_file import Text, parse_json
from robust_det.data.detection.canonical.entries import (
    canonical_classes,
    canonical_image,
    canonical_object,
)
from robust_det.data.detection.canonical.identifiers import in_order

__all__ = ["AnnotatedImage", "PackedImages", "Packer"]

_NO_SEGMENTS = b",null]"


# an image without what is on it, which is passed over
_decode_head = msgspec.json.Decoder(tuple[Any, msgspec.Raw, msgspec.Raw]).decode


class AnnotatedImage(NamedTuple):
    """An image in canonical form, its annotations in their order, and that of its segments in
    COCO's panoptic format, as annotated, if there is one."""

    image: dict[str, Any]
    objects: list[dict[str, Any]]
    segments: dict[str, Any] | None


@dataclass(frozen=True, eq=False)
class PackedImages(Sequence[AnnotatedImage]):
    """The images of a sound document in the order of their ids; each is parsed when asked for.

    Images and objects are numbered from 1 in this order, whatever the document calls them, and
    have the keys that are read: see :mod:`.canonical`.

    COCO's training images take 0.4 GB so, and 2.5 GB as Python objects. Forked processes share
    them, where Python objects would be copied one by one, as each reading of one writes its
    reference count.

    Attributes:
        content: the image, the objects and the segments of one after the other in JSON, with the
            document's own ids and keys.
        ends: where each ends, (N,).
        object_ends: how many objects there are up to each, with its own, (N,).
        wide: whether each is wider than high, (N,).
        learnable: how many objects of each a detector can learn from, (N,): no crowds, and no
            masks without an area.
        of_class: such objects by category id.
        masks: see :class:`.DatasetFacts`.
        changed: a hash of the entries in ``content`` that are not as they stood in a file.
    """

    content: NDArray[np.uint8]
    ends: NDArray[np.int64]
    object_ends: NDArray[np.int64]
    wide: NDArray[np.bool_]
    learnable: NDArray[np.int64]
    of_class: Mapping[int, int]
    masks: str
    changed: str

    def __len__(self) -> int:
        return len(self.ends)

    @overload
    def __getitem__(self, index: int) -> AnnotatedImage: ...

    @overload
    def __getitem__(self, index: slice) -> list[AnnotatedImage]: ...

    def __getitem__(self, index: int | slice) -> AnnotatedImage | list[AnnotatedImage]:
        if isinstance(index, slice):
            return [self[number] for number in range(len(self))[index]]
        index = range(len(self))[index]
        image, objects, segments = parse_json(self.text(index))
        number, first = index + 1, self.objects_before(index) + 1
        return AnnotatedImage(
            canonical_image(image, number),
            [canonical_object(entry, n, number) for n, entry in enumerate(objects, first)],
            segments,
        )

    @property
    def objects(self) -> int:
        """How many there are on all images."""
        return int(self.object_ends[-1]) if len(self) else 0

    def objects_before(self, index: int) -> int:
        """Return how many objects are on the images before one, counted from 0."""
        return int(self.object_ends[index - 1]) if index else 0

    def text(self, index: int) -> memoryview:
        """Return the part of ``content`` that is an image's."""
        start = self.ends[index - 1] if index else 0
        return self.content[start : self.ends[index]].data

    def heads(self) -> Iterator[tuple[dict[str, Any], Any]]:
        """Give the images without their objects, and the id that the document has for each."""
        for index in range(len(self)):
            text = self.text(index)
            try:
                image = _decode_head(text)[0]
            except (msgspec.DecodeError, ValueError, RecursionError):
                image = parse_json(text)[0]
            yield canonical_image(image, index + 1), image["id"]

    def document(self, categories: Iterable[Mapping[str, Any]]) -> dict[str, Any]:
        """Return a document in canonical form; all objects in it are new.

        Args:
            categories: those of the document.
        """
        everything = list(self)
        return {
            "images": [entry.image for entry in everything],
            "annotations": [one for entry in everything for one in entry.objects],
            "categories": canonical_classes(categories),
        }

    def with_segments(self, segments: Mapping[int, Mapping[str, Any]]) -> PackedImages:
        """Return the images that have segments, with them, numbered anew.

        Args:
            segments: the panoptic annotation of each image that is kept, by its number here.
        """
        content, ends, kept = bytearray(), [], np.zeros(len(self), bool)
        of_class: Counter[int] = Counter()
        for index, entry in enumerate(self):
            found = segments.get(entry.image["id"])
            if found is None:
                continue
            kept[index] = True
            content += self.text(index)[: -len(_NO_SEGMENTS)]
            content += b",%b]" % json.dumps(found).encode()
            ends.append(len(content))
            of_class.update(a["category_id"] for a in entry.objects if _is_learnable(a))
        counts = np.diff(self.object_ends, prepend=0)[kept]
        return replace(
            self,
            content=np.frombuffer(content, np.uint8),
            ends=np.array(ends, np.int64),
            object_ends=np.cumsum(counts),
            wide=self.wide[kept],
            learnable=self.learnable[kept],
            of_class=of_class,
        )


class Packer:
    """Packs the sound images of a document, and its objects one after the other.

    Args:
        images: sound ones by id, in the order of the document.
        texts: of those that have one.
    """

    def __init__(self, images: Mapping[Any, dict[str, Any]], texts: Mapping[Any, Text]) -> None:
        self._images, self._image_texts = images, texts
        self._places = {number: place for place, number in enumerate(in_order(images))}
        self._objects: list[list[Text]] = [[] for _ in images]
        self._learnable = [0] * len(images)
        self._of_class: list[int] = []
        self._without_mask = self._with_runs = False
        self._changed = hashlib.sha256()
        self.classes: set[int] = set()

    def add(self, annotation: dict[str, Any], text: Text | None) -> None:
        """Add an object of one of the images.

        Args:
            annotation: sound.
            text: of it, if it was not changed.
        """
        place, category = self._places[annotation["image_id"]], annotation["category_id"]
        self._objects[place].append(self._text_of(annotation) if text is None else text)
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
        content, ends, object_ends, wide = bytearray(), [], [0], []
        for number, place in self._places.items():
            image = self._images[number]
            content += b"["
            content += self._image_texts.get(number) or self._text_of(image)
            content += b",["
            content += b",".join(self._objects[place])  # type: ignore[arg-type]
            content += b"]" + _NO_SEGMENTS
            ends.append(len(content))
            wide.append(image["width"] > image["height"])
            object_ends.append(object_ends[-1] + len(self._objects[place]))
            self._objects[place].clear()
        masks = "none" if self._without_mask else "rle" if self._with_runs else "polygon"
        return PackedImages(
            np.frombuffer(content, np.uint8),
            np.array(ends, np.int64),
            np.array(object_ends[1:], np.int64),
            np.array(wide, bool),
            np.array(self._learnable, np.int64),
            Counter(self._of_class),
            masks,
            self._changed.hexdigest(),
        )

    def _text_of(self, entry: dict[str, Any]) -> bytes:
        # not msgspec's, which has no NaN and ends at 64 bits
        text = json.dumps(entry, separators=(",", ":")).encode()
        self._changed.update(text)
        return text


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
