"""The JSON Schema of each kind of record, for editors and readers in other languages.

    python -m robust_det.records.json_schema

writes ``schemas/KIND.json`` beside this file, from the classes.
"""

from __future__ import annotations

import inspect
from pathlib import Path
from typing import Any

import msgspec

from robust_det.core.files import write_atomically
from robust_det.records.kinds import KINDS

__all__ = ["FOLDER", "schema_of", "schema_text"]

FOLDER = Path(__file__).parent / "schemas"


def schema_of(kind: str) -> dict[str, Any]:
    """Return the JSON Schema of a kind, by its name."""
    body = msgspec.json.schema(KINDS[kind])
    for part in body["$defs"].values():
        # indented or not, by the version of Python
        part["description"] = inspect.cleandoc(part["description"])
    # the one field that has a default and is always written
    body["$defs"][KINDS[kind].__name__]["required"].append("schema")
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **body}


def schema_text(kind: str) -> bytes:
    """Return the schema of a kind as its file holds it."""
    text = msgspec.json.encode(schema_of(kind), order="sorted")
    return msgspec.json.format(text, indent=1) + b"\n"


def _write(kind: str) -> None:
    text = schema_text(kind)
    write_atomically(FOLDER / f"{kind}.json", lambda file: file.write(text))


if __name__ == "__main__":
    for each in KINDS:
        _write(each)
