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
from robust_det.data.detection.readers.voc_folder import VocSource
from robust_det.data.detection.readers.yolo_folder import YoloSource
from robust_det.data.detection.source import Source

__all__ = ["class_list", "entry_schema", "parse_entry"]

_HELP = (
    "each entry of DATASETS.CUSTOM needs NAME, JSON, IMAGES; or NAME, VOC, SPLIT (and, if you like,"
    " CLASSES and ORIGIN 0 or 1); or NAME, YOLO, SPLIT (and CLASSES); or NAME, PANOPTIC, SEGMENTS,"
    " IMAGES (and JSON)"
)
# a name becomes a folder, and a part of dotted names in records
_NAME = re.compile(r"[\w-]+")


def parse_entry(entry: Any) -> tuple[str, Source]:
    """Return the name of an entry and where its data are.

    Args:
        entry: a mapping with ``NAME`` and ``JSON``, ``IMAGES``; ``VOC``, ``SPLIT``; ``YOLO``,
            ``SPLIT``; or ``PANOPTIC``, ``SEGMENTS``, ``IMAGES``. Relative paths are below
            ``$DETECTRON2_DATASETS``, by default ``datasets/``, as those of Detectron2's own data
            sets.

    Raises:
        UserError: a field is missing, unknown, or of a wrong type.
    """
    refusal = UserError(f"{_HELP}; got {entry}")
    if not isinstance(entry, Mapping):
        raise refusal
    form = next((form for form in _FORMS if form in entry), None)
    if form is None:
        raise refusal
    also, optional, build = _FORMS[form]
    needed = ("NAME", form, *also)
    # JSON is a path wherever it is
    texts = [entry.get(key) for key in (*needed, *{"JSON"} & {*entry})]
    if not set(entry) <= {*needed, *optional} or not all(isinstance(t, str) and t for t in texts):
        raise refusal
    if not _NAME.fullmatch(entry["NAME"]):
        raise UserError(
            f"the data set name '{entry['NAME']}' in DATASETS.CUSTOM may hold only letters,"
            " digits, '_' and '-'"
        )
    return entry["NAME"], build(entry)


def _panoptic(entry: Mapping[str, Any]) -> Source:
    place, segments = _located(entry["PANOPTIC"]), _located(entry["SEGMENTS"])
    objects = _located(entry["JSON"]) if "JSON" in entry else ""
    return PanopticSource(place, segments, f"{segments}_stuff", _located(entry["IMAGES"]), objects)


def _coco(entry: Mapping[str, Any]) -> Source:
    return CocoSource(_located(entry["JSON"]), _located(entry["IMAGES"]))


def _voc(entry: Mapping[str, Any]) -> Source:
    origin = entry.get("ORIGIN", 1)
    if isinstance(origin, bool) or origin not in (0, 1):
        raise UserError(f"ORIGIN of data set '{entry['NAME']}' is {origin}; it can be 0 or 1")
    return VocSource(_located(entry["VOC"]), entry["SPLIT"], _classes(entry), origin)


def _yolo(entry: Mapping[str, Any]) -> Source:
    return YoloSource(_located(entry["YOLO"]), entry["SPLIT"], _classes(entry))


# by the field that tells the form: the others it needs, those it may have, what makes the source
_FORMS: dict[
    str, tuple[tuple[str, ...], tuple[str, ...], Callable[[Mapping[str, Any]], Source]]
] = {
    "PANOPTIC": (("SEGMENTS", "IMAGES"), ("JSON",), _panoptic),
    "JSON": (("IMAGES",), (), _coco),
    "VOC": (("SPLIT",), ("CLASSES", "ORIGIN"), _voc),
    "YOLO": (("SPLIT",), ("CLASSES",), _yolo),
}


def entry_schema() -> dict[str, Any]:
    """Return the JSON Schema of an entry, for editors."""
    kinds: dict[str, dict[str, Any]] = {
        "CLASSES": {"type": "array", "items": {"type": ["string", "number"]}},
        "ORIGIN": {"enum": [0, 1]},
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


def _located(path: str) -> str:
    """Expand ``~`` and ``$VARIABLES``; a relative path is below ``$DETECTRON2_DATASETS``."""
    expanded = Path(os.path.expandvars(path)).expanduser()
    root = os.environ.get("DETECTRON2_DATASETS", "datasets")
    return str(expanded if expanded.is_absolute() else Path(root) / expanded)
