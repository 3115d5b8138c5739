"""Writing a record."""

from __future__ import annotations

from pathlib import Path

import msgspec

from robust_det.core.files import write_atomically
from robust_det.records.base import Record
from robust_det.records.reading import RECORD_NAME

__all__ = ["write_record"]


def write_record(folder: str | Path, record: Record) -> Path:
    """Write ``record.json`` into ``folder`` atomically and return its path.

    NaN and infinity, which JSON does not have, become null.

    Raises:
        ValueError: a field is not of the type that its class declares.
    """
    data = msgspec.json.encode(record, order="sorted")
    try:
        msgspec.json.decode(data, type=type(record))
    except msgspec.ValidationError as error:
        raise ValueError(f"{record.kind()} record of run '{record.name}': {error}") from error
    text = msgspec.json.format(data, indent=1) + b"\n"
    path = Path(folder) / RECORD_NAME
    write_atomically(path, lambda file: file.write(text))
    return path
