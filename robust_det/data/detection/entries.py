"""The entries of ``DATASETS.CUSTOM``."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from robust_det.core.errors import UserError
from robust_det.data.detection.readers.coco_json import CocoSource
from robust_det.data.detection.readers.panoptic_json import PanopticSource
from robust_det.data.detection.readers.tables.csv_boxes import FRACTIONS, PIXELS, CsvSource
from robust_det.data.detection.readers.voc_folder import VocSource
from robust_det.data.detection.readers.voc_layout import VocPlaces
from robust_det.data.detection.readers.yolo_folder import YoloSource
from robust_det.data.detection.source import ALL, Source
from robust_det.data.places import datasets_folder, locate

__all__ = ["class_list", "entry_schema", "located_entries", "parse_entry"]

_HELP = (
    "each entry of DATASETS.CUSTOM needs NAME, JSON, IMAGES; or NAME, VOC, SPLIT (and, if you like,"
    " CLASSES and ORIGIN 0 or 1, and ANNOTATIONS, IMAGES, SPLIT_FILE of what is elsewhere); or"
    " NAME, ANNOTATIONS, IMAGES (and SPLIT or SPLIT_FILE, CLASSES, ORIGIN); or NAME, YOLO, SPLIT"
    " (and CLASSES); or NAME, CSV (and IMAGES, SPLIT, CLASSES, UNITS pixels or fractions, ORIGIN);"
    " or NAME, PANOPTIC, SEGMENTS, IMAGES (and JSON)"
)
_PATHS = (
    "ANNOTATIONS",
    "CSV",
    "IMAGES",
    "JSON",
    "PANOPTIC",
    "SEGMENTS",
    "SPLIT_FILE",
    "VOC",
    "YOLO",
)
_PARTS = ("ANNOTATIONS", "IMAGES", "SPLIT_FILE")  # of a VOC folder, in the order of VocPlaces
# a name becomes a folder, and a part of dotted names in records
_NAME = re.compile(r"[\w-]+")


def parse_entry(entry: Any, beside: str = "") -> tuple[str, Source]:
    """Return the name of an entry and where its data are.

    Args:
        entry: a mapping with ``NAME`` and the fields of a form; see :data:`_FORMS`.
        beside: the folder of the config that has it, see :mod:`robust_det.data.places`.

    Raises:
        UserError: a field is missing, unknown, without effect, or of a wrong type.
    """
    refusal = UserError(f"{_HELP}; got {entry}")
    if not isinstance(entry, Mapping):
        raise refusal
    form = next((form for form in _FORMS if form in entry), None)
    if form is None:
        raise refusal
    also, optional, build = _FORMS[form]
    needed = ("NAME", form, *also)
    # paths and names of splits are texts wherever they are
    texts = [entry.get(key) for key in (*needed, *{*_PATHS, "SPLIT"} & {*entry})]
    if not set(entry) <= {*needed, *optional} or not all(isinstance(t, str) and t for t in texts):
        raise refusal
    if not _NAME.fullmatch(entry["NAME"]):
        raise UserError(
            f"the data set name '{entry['NAME']}' in DATASETS.CUSTOM may hold only letters,"
            " digits, '_' and '-'"
        )
    return entry["NAME"], build({**entry, **_places(entry, beside)})


def located_entries(entries: Sequence[Any], beside: str) -> list[Any]:
    """Return entries whose paths lead to the same things from any other config file.

    What is found below ``$DETECTRON2_DATASETS``, in a VOC folder or nowhere stays as it was
    written.

    Args:
        entries: see :func:`parse_entry`; what is wrong with them is left to it.
        beside: the folder of the config that has them.
    """
    return [_moved(entry, beside) if isinstance(entry, Mapping) else entry for entry in entries]


def _moved(entry: Mapping[str, Any], beside: str) -> dict[str, Any]:
    places = _places(entry, beside)
    made = dict(entry)
    for key, place in places.items():
        stays = [datasets_folder() / entry[key]]
        if key in _PARTS and "VOC" in places:
            stays.append(Path(places["VOC"], entry[key]))
        if os.path.exists(place) and Path(place) not in stays:
            made[key] = place
    return made


def _places(entry: Mapping[str, Any], beside: str) -> dict[str, str]:
    """Return by key where the paths of an entry lead."""
    given = {k: v for k in _PATHS if isinstance(v := entry.get(k), str) and v}
    try:
        # parts of a VOC folder may be named as they are called in it
        folder = locate(given["VOC"], beside) if "VOC" in given else ""
        return {
            key: locate(path, beside, folder if key in _PARTS else "")
            for key, path in given.items()
        }
    except UserError as error:
        raise UserError(f"data set '{entry.get('NAME')}': {error}") from error


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
    if folder and {*_PARTS} <= {*entry}:
        raise UserError(
            f"data set '{name}' has ANNOTATIONS, IMAGES and SPLIT_FILE, and VOC adds nothing to"
            " them; leave VOC out"
        )
    if folder and not {"SPLIT", "SPLIT_FILE"} & {*entry}:
        raise UserError(f"{_HELP}; got {dict(entry)}", f"SPLIT {ALL} takes all that is there")
    places = VocPlaces(*(entry.get(key, "") for key in _PARTS))
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
        _origin(entry, 0),
    )


def _yolo(entry: Mapping[str, Any]) -> Source:
    return YoloSource(entry["YOLO"], entry["SPLIT"], _classes(entry))


# by the field that tells the form: the others it needs, those it may have, what makes the source
_FORMS: dict[
    str, tuple[tuple[str, ...], tuple[str, ...], Callable[[Mapping[str, Any]], Source]]
] = {
    "PANOPTIC": (("SEGMENTS", "IMAGES"), ("JSON",), _panoptic),
    "JSON": (("IMAGES",), (), _coco),
    "VOC": ((), ("SPLIT", "ANNOTATIONS", "IMAGES", "SPLIT_FILE", "CLASSES", "ORIGIN"), _voc),
    "YOLO": (("SPLIT",), ("CLASSES",), _yolo),
    "CSV": ((), ("IMAGES", "SPLIT", "CLASSES", "UNITS", "ORIGIN"), _csv),
    "ANNOTATIONS": (("IMAGES",), ("SPLIT", "SPLIT_FILE", "CLASSES", "ORIGIN"), _voc),
}


def entry_schema() -> dict[str, Any]:
    """Return the JSON Schema of an entry, for editors."""
    kinds: dict[str, dict[str, Any]] = {
        "CLASSES": {"type": "array", "items": {"type": ["string", "number"]}},
        "ORIGIN": {"enum": [0, 1]},
        "UNITS": {"enum": [PIXELS, FRACTIONS]},
        "NAME": {"type": "string", "pattern": f"^{_NAME.pattern}$"},
    }
    forms = []
    for form, (also, optional, _) in _FORMS.items():
        required = ["NAME", form, *also]
        properties = {key: kinds.get(key, {"type": "string"}) for key in (*required, *optional)}
        forms.append(
            {"required": required, "properties": properties, "additionalProperties": False}
        )
    return {"type": "object", "anyOf": forms}


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
