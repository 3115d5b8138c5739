"""Run records: one ``record.json`` a run, all that comparison reads.

A record holds what was run (config, weights and their hash, data), on what (versions, commit,
device) and what came out (metrics). Jobs write it; :mod:`robust_det.analysis` reads it.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from robust_det.core.errors import UserError
from robust_det.core.files import write_atomically

__all__ = ["RECORD_NAME", "SCHEMA", "read_record", "write_record"]

SCHEMA = 1
RECORD_NAME = "record.json"
_REQUIRED = ("schema", "kind", "name", "arch", "norm", "eps", "metrics", "config", "environment")


def write_record(folder: str | Path, record: dict[str, Any]) -> Path:
    """Write ``record.json`` into ``folder`` atomically and return its path.

    Raises:
        ValueError: a required field is missing.
    """
    record = {"schema": SCHEMA, **record}
    missing = [key for key in _REQUIRED if key not in record]
    if missing:
        raise ValueError(f"record lacks {', '.join(missing)}")
    path = Path(folder) / RECORD_NAME
    text = json.dumps(record, indent=1, sort_keys=True) + "\n"
    write_atomically(path, lambda file: file.write(text.encode()))
    return path


def read_record(path: str | Path) -> dict[str, Any]:
    """Read the record of a run, given its folder or the file itself.

    Raises:
        UserError: there is no record, or it is not one this version can read.
    """
    path = Path(path)
    if path.is_dir():
        path = path / RECORD_NAME
    if not path.is_file():
        raise UserError(f"no run record at {path}; a run writes it when it ends")
    try:
        record = json.loads(path.read_text())
    except (OSError, UnicodeDecodeError, json.JSONDecodeError) as error:
        raise UserError(f"run record {path} cannot be read: {error}") from error
    if not isinstance(record, dict) or record.get("schema") != SCHEMA:
        raise UserError(f"{path} is not a run record of schema {SCHEMA}")
    missing = [key for key in _REQUIRED if key not in record]
    if missing:
        raise UserError(f"run record {path} lacks {', '.join(missing)}")
    return record
