"""What a record says of the files that an evaluation used and left."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

__all__ = ["Saved", "saved_files"]


@dataclass(frozen=True)
class Saved:
    """The files of one test set; empty strings where a record does not say.

    Attributes:
        dataset: its name.
        annotations, annotations_sha256: the ground truth's path as it was used, and its hash.
        detections, detections_sha256: the path relative to the run's folder, and the hash.
    """

    dataset: str
    annotations: str
    annotations_sha256: str
    detections: str
    detections_sha256: str


def saved_files(record: Mapping[str, Any]) -> tuple[Saved, ...]:
    """Return the files of each test set that a record names.

    Raises:
        ValueError: the record's ``detections`` are not laid out as a job writes them.
    """
    kept = record.get("detections") or {}
    out = []
    for item in record["data"]["test"]:
        files = kept.get(item["name"], {}) if isinstance(kept, Mapping) else None
        if not isinstance(files, Mapping):
            raise ValueError("needs a path and a sha256 for each test set")
        values = [item["name"], *(item.get(k) or "" for k in ("annotations_file", "sha256"))]
        values += [files.get(k) or "" for k in ("path", "sha256")]
        if not all(isinstance(value, str) for value in values):
            raise ValueError("needs paths and hashes in letters")
        out.append(Saved(*values))
    return tuple(out)
