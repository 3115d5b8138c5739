"""The forms of entries in ``DATASETS.CUSTOM``: their fields, and what reads them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from robust_det.core.errors import UserError
from robust_det.data.detection.readers.coco_json import CocoSource
from robust_det.data.detection.readers.masks.mask_folder import (
    INSTANCES,
    KINDS,
    OBJECTS,
    VALUES,
    MaskSource,
)
from robust_det.data.detection.readers.panoptic_json import PanopticSource
from robust_det.data.detection.readers.tables.csv_boxes import FRACTIONS, PIXELS, CsvSource
from robust_det.data.detection.readers.voc_folder import VocSource
from robust_det.data.detection.readers.voc_layout import VocPlaces
from robust_det.data.detection.readers.yolo_folder import YoloSource
from robust_det.data.detection.source import ALL, Source

__all__ = ["FORMS", "TYPES", "VOC_PARTS", "Form", "class_list"]

VOC_PARTS = ("ANNOTATIONS", "IMAGES", "SPLIT_FILE")  # in the order of VocPlaces
# of fields that are no texts, for editors
TYPES: dict[str, dict[str, Any]] = {
    "CLASSES": {"type": "array", "items": {"type": ["string", "number"]}},
    "ORIGIN": {"enum": [0, 1]},
    "UNITS": {"enum": [PIXELS, FRACTIONS]},
    "KIND": {"enum": [*KINDS]},
    "VALUES": {"type": "object"},
    "BACKGROUND": {"type": "array", "items": {"type": "integer"}},
    "COMPONENTS": {"type": "boolean"},
}


@dataclass(frozen=True)
class Form:
    """A form of entries.

    Attributes:
        needs: the fields beside ``NAME`` that it has, that by which it is told first.
        may: those that it may have.
        build: makes the source of an entry whose paths are located.
        words: what it needs, where that is not just ``needs``.
    """

    needs: tuple[str, ...]
    may: tuple[str, ...]
    build: Callable[[Mapping[str, Any]], Source]
    words: str = ""

    def in_words(self) -> str:
        """Return such as ``NAME, YOLO, SPLIT (and CLASSES)``."""
        needs = self.words or ", ".join(self.needs)
        also = f" (and {', '.join(self.may)})" if self.may else ""
        return f"NAME, {needs}{also}"


def _panoptic(entry: Mapping[str, Any]) -> Source:
    segments = entry["SEGMENTS"]
    objects = entry.get("JSON", "")
    return PanopticSource(
        entry["PANOPTIC"], segments, f"{segments}_stuff", entry["IMAGES"], objects
    )


def _coco(entry: Mapping[str, Any]) -> Source:
    return CocoSource(entry["JSON"], entry["IMAGES"])


def _voc(entry: Mapping[str, Any]) -> Source:
    name, folder, origin = entry["NAME"], entry.get("VOC", ""), _origin(entry, 1)
    if "SPLIT" in entry and "SPLIT_FILE" in entry:
        raise UserError(
            f"data set '{name}' has SPLIT and SPLIT_FILE; the list says what is of the split, so"
            " leave SPLIT out"
        )
    if folder and {*VOC_PARTS} <= {*entry}:
        raise UserError(
            f"data set '{name}' has ANNOTATIONS, IMAGES and SPLIT_FILE, and VOC adds nothing to"
            " them; leave VOC out"
        )
    if folder and not {"SPLIT", "SPLIT_FILE"} & {*entry}:
        raise UserError(
            f"data set '{name}' needs {FORMS['VOC'].in_words()}", f"SPLIT {ALL} takes all there is"
        )
    places = VocPlaces(*(entry.get(key, "") for key in VOC_PARTS))
    return VocSource(folder, entry.get("SPLIT", ALL), _classes(entry), origin, places=places)


def _origin(entry: Mapping[str, Any], default: int) -> int:
    origin = entry.get("ORIGIN", default)
    if isinstance(origin, bool) or origin not in (0, 1):
        raise UserError(f"ORIGIN of data set '{entry['NAME']}' is {origin}; it can be 0 or 1")
    return int(origin)


def _csv(entry: Mapping[str, Any]) -> Source:
    units = entry.get("UNITS", "")
    if units not in ("", PIXELS, FRACTIONS):
        raise UserError(
            f"UNITS of data set '{entry['NAME']}' is {units}; it can be {PIXELS} or {FRACTIONS}"
        )
    return CsvSource(
        entry["CSV"],
        entry.get("IMAGES", ""),
        entry.get("SPLIT", ALL),
        _classes(entry),
        units,
        _origin(entry, 0) if "ORIGIN" in entry else None,
    )


def _masks(entry: Mapping[str, Any]) -> Source:
    name, kind = entry["NAME"], entry["KIND"]
    if kind not in KINDS:
        raise UserError(f"KIND of data set '{name}' is {kind}; it can be {', '.join(KINDS)}")
    idle = {
        INSTANCES: ("VALUES", "COMPONENTS"),
        OBJECTS: ("VALUES", "COMPONENTS", "BACKGROUND"),
        VALUES: ("CLASSES",),
    }[kind]
    for key in idle:
        if key in entry:
            raise UserError(
                f"data set '{name}': {key} has no effect with KIND {kind}; leave it out"
            )
    background = entry.get("BACKGROUND", [])
    if not isinstance(background, list) or not all(map(_is_value, background)):
        raise UserError(
            f"BACKGROUND of data set '{name}' needs a list of numbers from 0 on, not {background}"
        )
    nothing, values = tuple(map(int, background)), entry.get("VALUES")
    source = MaskSource(entry["MASKS"], entry["IMAGES"], kind, background=nothing)
    if kind != VALUES:
        return replace(source, classes=_classes(entry))
    if not isinstance(values, Mapping) or not values or not all(map(_is_value, values)):
        raise UserError(
            f"data set '{name}' needs VALUES, such as {{1: cat, 2: dog}}, of the numbers in masks"
            f" that are objects; got {values}"
        )
    named = {int(number): str(label).strip() for number, label in values.items()}
    if both := [number for number in named if number in (nothing or (0,))]:
        raise UserError(
            f"data set '{name}': {both[0]} is in VALUES and in BACKGROUND, which is [0] unless it"
            " is given"
        )
    class_list(list(dict.fromkeys(named.values())), f"VALUES of data set '{name}'")
    components = entry.get("COMPONENTS", False)
    if not isinstance(components, bool):
        raise UserError(f"COMPONENTS of data set '{name}' is {components}; it can be True or False")
    return replace(source, values=tuple(named.items()), components=components)


def _is_value(number: Any) -> bool:
    return not isinstance(number, bool) and str(number).isdecimal()


def _yolo(entry: Mapping[str, Any]) -> Source:
    return YoloSource(entry["YOLO"], entry["SPLIT"], _classes(entry))


# an entry with fields of several is of the first
FORMS = {
    form.needs[0]: form
    for form in (
        Form(("PANOPTIC", "SEGMENTS", "IMAGES"), ("JSON",), _panoptic),
        Form(("JSON", "IMAGES"), (), _coco),
        Form(
            ("VOC",), ("SPLIT", *VOC_PARTS, "CLASSES", "ORIGIN"), _voc, "VOC, SPLIT or SPLIT_FILE"
        ),
        Form(("YOLO", "SPLIT"), ("CLASSES",), _yolo),
        Form(
            ("MASKS", "IMAGES", "KIND"), ("CLASSES", "VALUES", "BACKGROUND", "COMPONENTS"), _masks
        ),
        Form(("CSV",), ("IMAGES", "SPLIT", "CLASSES", "UNITS", "ORIGIN"), _csv),
        Form(("ANNOTATIONS", "IMAGES"), ("SPLIT", "SPLIT_FILE", "CLASSES", "ORIGIN"), _voc),
    )
}


def _classes(entry: Mapping[str, Any]) -> tuple[str, ...]:
    return class_list(entry.get("CLASSES", []), f"CLASSES of data set '{entry['NAME']}'")


def class_list(names: Sequence[Any], what: str) -> tuple[str, ...]:
    """Return names of classes as they are compared with those in the data.

    Raises:
        UserError: they are not a list, or one is empty or twice there; ``what`` begins the message.
    """
    if isinstance(names, str) or not isinstance(names, Sequence):
        raise UserError(f"{what} need a list of names, not {names!r}")
    texts = tuple(str(name).strip() for name in names)
    if not all(texts) or len(set(texts)) < len(texts):
        raise UserError(f"{what} have an empty or repeated name: {', '.join(texts)}")
    return texts
