"""What the readers of all formats have in common."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol, cast, runtime_checkable

from robust_det.core.errors import UserError
from robust_det.data.detection.canonical.entries import DIFFICULT, canonical_classes
from robust_det.data.detection.checking.images import Depth
from robust_det.data.detection.checking.report import Report
from robust_det.data.detection.checking.terms import Terms
from robust_det.data.detection.packed_images import PackedImages

__all__ = [
    "ALL",
    "NoSuchSplit",
    "Panoptic",
    "Reading",
    "Source",
    "is_held_out",
    "is_split",
    "object_entry",
    "with_terms",
]


class NoSuchSplit(UserError):
    """Nothing that is there is called so."""


# asks for all that is there, where nothing is split
ALL = "all"
_TRAINING = ("train", "training", "trainval")
_HELD_OUT = ("val", "valid", "validation", "test", "testing", "dev", "eval")


def is_split(name: str) -> bool:
    """Return whether a folder of this name holds a part of a data set."""
    return name.lower() in _TRAINING or is_held_out(name)


def is_held_out(split: str) -> bool:
    """Return whether a split of this name may not be all there is, which is trained on."""
    return split.lower() in _HELD_OUT


@dataclass(frozen=True)
class Panoptic:
    """Where segments and semantic maps are.

    Attributes:
        json_file, segment_root: the annotations, and the folder of their PNG files.
        map_root: folder of the semantic maps, which have the names of those PNG files.
        categories: of things and stuff, as annotated.
        sha256: of ``json_file``.
    """

    json_file: str
    segment_root: str
    map_root: str
    categories: list[dict[str, Any]]
    sha256: str


@dataclass(frozen=True)
class Reading:
    """A data set as it was read.

    Attributes:
        images: with what is on them, in canonical form; what is unsound is left out or mended. See
            :func:`object_entry` for ``difficult``.
        categories: of the objects, as annotated.
        image_root: the folder that image names are relative to.
        report: what was unsound.
        json_file: the COCO JSON that was read; empty where annotations are in another form.
        sha256: of what was read.
        panoptic: where segments are; None without any.
        own_ids: whether images have ids that users know, without a ``json_file`` too.
    """

    images: PackedImages
    categories: list[dict[str, Any]]
    image_root: str
    report: Report
    json_file: str = ""
    sha256: str = ""
    panoptic: Panoptic | None = None
    own_ids: bool = False

    def canonical_classes(self) -> list[dict[str, Any]]:
        """Return the categories in canonical form."""
        return canonical_classes(self.categories)

    def document(self) -> dict[str, Any]:
        """Return images and objects as a document in canonical form."""
        return self.images.document(self.categories)


@runtime_checkable
class _OnTerms(Protocol):
    terms: Terms


class Source(Protocol):
    """Where a data set is, and how it is read. Equal sources are the same data."""

    def __hash__(self) -> int: ...

    def read(self, name: str, depth: Depth | None = None) -> Reading:
        """Read and check everything.

        Args:
            name: of the data set, for messages.
            depth: how closely to look at images; as is due to the source if unset.

        Raises:
            UserError: there is nothing that could be checked.
        """
        ...


def with_terms(source: Source, terms: Terms) -> Source:
    """Return a source that is read on other terms.

    Those that have none are left as they are, and those that Detectron2 registers, which are
    compared as they were published.
    """
    if not isinstance(source, _OnTerms) or getattr(source, "published", False):
        return source
    return cast(Source, replace(cast(Any, source), terms=terms))


def object_entry(
    number: int, image_id: int, category_id: int, box: Sequence[float], difficult: bool = False
) -> dict[str, Any]:
    """Return a COCO annotation for a box ``[x, y, width, height]`` in pixels.

    A difficult one says so by a field that COCO has not: training uses such objects, evaluation
    ignores them; see :func:`~robust_det.data.detection.canonical.entries.as_coco`.
    """
    entry = {
        "id": number,
        "image_id": image_id,
        "category_id": category_id,
        "bbox": list(box),
        "area": box[2] * box[3],
        "iscrowd": 0,
    }
    return {**entry, DIFFICULT: 1} if difficult else entry
