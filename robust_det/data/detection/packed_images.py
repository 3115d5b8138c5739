"""The images of a data set with their objects, small enough for every process to have them."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, overload

import msgspec
import numpy as np
from numpy.typing import NDArray

__all__ = ["AnnotatedImage", "PackedImages"]

_encoder, _decoder = msgspec.msgpack.Encoder(), msgspec.msgpack.Decoder()


class AnnotatedImage(NamedTuple):
    """An image of a COCO document, its annotations in their order, and that of its segments in
    COCO's panoptic format, if there is one."""

    image: dict[str, Any]
    objects: list[dict[str, Any]]
    segments: dict[str, Any] | None


@dataclass(frozen=True, eq=False)
class PackedImages(Sequence[AnnotatedImage]):
    """The images of a sound document in the order of their ids; each is unpacked when asked for.

    COCO's training images take 0.4 GB so, and 2.5 GB as Python objects. Forked processes share
    them, where Python objects would be copied one by one, as each reading of one writes its
    reference count.

    Attributes:
        content: all images one after the other, MessagePack.
        ends: where each ends, (N,).
        wide: whether each is wider than high, (N,).
        learnable: how many objects of each a detector can learn from, (N,): no crowds, and no
            masks without an area.
        of_class: such objects by category id.
    """

    content: NDArray[np.uint8]
    ends: NDArray[np.int64]
    wide: NDArray[np.bool_]
    learnable: NDArray[np.int64]
    of_class: Mapping[int, int]

    @classmethod
    def pack(
        cls, document: Mapping[str, Any], segments: Mapping[Any, Mapping[str, Any]]
    ) -> PackedImages:
        """Pack a sound document in COCO format.

        Args:
            document: with ``images`` and ``annotations``.
            segments: the panoptic annotation of each image, by image id; empty without any.
        """
        objects: dict[Any, list[dict[str, Any]]] = {i["id"]: [] for i in document["images"]}
        for annotation in document["annotations"]:
            objects[annotation["image_id"]].append(annotation)
        content, ends, learnable = bytearray(), [], []
        of_class: Counter[int] = Counter()
        ordered = sorted(document["images"], key=lambda image: image["id"])
        for image in ordered:
            number = image["id"]
            _append(content, AnnotatedImage(image, objects[number], segments.get(number)))  # type: ignore[arg-type]
            ends.append(len(content))
            learnt = [a["category_id"] for a in objects[number] if _is_learnable(a)]
            learnable.append(len(learnt))
            of_class.update(learnt)
        return cls(
            np.frombuffer(content, np.uint8),
            np.array(ends, np.int64),
            np.array([image["width"] > image["height"] for image in ordered], bool),
            np.array(learnable, np.int64),
            of_class,
        )

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
        start = self.ends[index - 1] if index else 0
        return _unpacked(self.content[start : self.ends[index]].data)

    def document(self, categories: Iterable[Mapping[str, Any]]) -> dict[str, Any]:
        """Return the document again, all of its objects new; annotations are in the order of
        their images.

        Args:
            categories: those of the document.
        """
        images, annotations = [], []
        for image, objects, _ in self:
            images.append(image)
            annotations += objects
        return {"images": images, "annotations": annotations, "categories": list(categories)}


def _append(content: bytearray, entry: AnnotatedImage) -> None:
    end = len(content)
    try:
        _encoder.encode_into(entry, content, end)
    except (OverflowError, UnicodeEncodeError):
        # MessagePack ends at 64 bits and knows no half of a surrogate pair; JSON's bracket tells
        # the two apart
        content[end:] = json.dumps(entry).encode()


def _unpacked(packed: memoryview) -> AnnotatedImage:
    if packed[0] == ord("["):
        return AnnotatedImage(*json.loads(bytes(packed)))
    return AnnotatedImage(*_decoder.decode(packed))


def _is_learnable(annotation: Mapping[str, Any]) -> bool:
    if annotation.get("iscrowd"):
        return False
    outline = annotation.get("segmentation")
    if not outline or isinstance(outline, Mapping):
        return True
    return any(len(polygon) % 2 == 0 and len(polygon) >= 6 for polygon in outline)
