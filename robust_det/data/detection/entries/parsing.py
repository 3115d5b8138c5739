"""Entries of ``DATASETS.CUSTOM``, from a config to what reads the data."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from robust_det.core.errors import UserError
from robust_det.data.detection.entries.forms import FORMS, TYPES, Form
from robust_det.data.detection.entries.locating import PATHS, places_of
from robust_det.data.detection.source import Source

__all__ = ["entry_schema", "parse_entry"]

# a name becomes a folder, and a part of dotted names in records
_NAME = re.compile(r"[\w-]+")


def parse_entry(entry: Any, beside: str = "") -> tuple[str, Source]:
    """Return the name of an entry and where its data are.

    Args:
        entry: a mapping with ``NAME`` and the fields of one of :data:`.FORMS`.
        beside: the folder of the config that has it, see :mod:`robust_det.data.places`.

    Raises:
        UserError: a field is missing, unknown, without effect, or of a wrong type.
    """
    found = isinstance(entry, Mapping) and next((form for form in FORMS if form in entry), "")
    if not found:
        # the usual ones first
        known = "; or ".join(form.in_words() for form in sorted(FORMS.values(), key=_is_panoptic))
        raise UserError(f"each entry of DATASETS.CUSTOM needs {known}; got {entry}")
    form = FORMS[found]
    needed = ("NAME", *form.needs)
    # paths and names of splits are texts wherever they are
    texts = [key for key in (*needed, *PATHS, "SPLIT") if key in entry or key in needed]
    faults = [
        *(f"{key} is missing" for key in needed if key not in entry),
        *(f"{key} has no effect" for key in entry if key not in (*needed, *form.may)),
        *(f"{k} is no text" for k in texts if k in entry and not _is_text(entry[k])),
    ]
    if faults:
        raise UserError(
            f"an entry of DATASETS.CUSTOM with {found} needs {form.in_words()}: {faults[0]}; got"
            f" {dict(entry)}"
        )
    if not _NAME.fullmatch(entry["NAME"]):
        raise UserError(
            f"the data set name '{entry['NAME']}' in DATASETS.CUSTOM may hold only letters,"
            " digits, '_' and '-'"
        )
    return entry["NAME"], form.build({**entry, **places_of(entry, beside)})


def _is_text(value: Any) -> bool:
    return isinstance(value, str) and bool(value)


def _is_panoptic(form: Form) -> bool:
    return "PANOPTIC" in form.needs


def entry_schema() -> dict[str, Any]:
    """Return the JSON Schema of an entry, for editors."""
    kinds = {**TYPES, "NAME": {"type": "string", "pattern": f"^{_NAME.pattern}$"}}
    forms = []
    for form in FORMS.values():
        required = ["NAME", *form.needs]
        properties = {key: kinds.get(key, {"type": "string"}) for key in (*required, *form.may)}
        forms.append(
            {"required": required, "properties": properties, "additionalProperties": False}
        )
    return {"type": "object", "anyOf": forms}
