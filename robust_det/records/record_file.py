"""``record.json``: written and read, of this version or an older one."""

from __future__ import annotations

import functools
import json
from contextlib import suppress
from pathlib import Path
from typing import Any, TypeVar, Union, overload

import msgspec

from robust_det.core.errors import UserError, did_you_mean, one_line
from robust_det.core.files import write_atomically
from robust_det.records.base import SCHEMA, Record
from robust_det.records.kinds import KINDS
from robust_det.records.upgrade import upgraded

__all__ = ["RECORD_NAME", "read_record", "write_record"]

RECORD_NAME = "record.json"
R = TypeVar("R", bound=Record)


class _Header(msgspec.Struct):
    """What says how to read the rest."""

    schema: int
    kind: str


_HEADER = msgspec.json.Decoder(_Header)
_TODAYS: msgspec.json.Decoder[Record] = msgspec.json.Decoder(Union[tuple(KINDS.values())])  # type: ignore[arg-type]  # noqa: UP007


@functools.cache
def _decoder(kind: type[Record]) -> msgspec.json.Decoder[Any]:
    return msgspec.json.Decoder(kind)


def write_record(folder: str | Path, record: Record) -> Path:
    """Write ``record.json`` into ``folder`` atomically and return its path.

    NaN and infinity, which JSON does not have, become null.

    Raises:
        ValueError: a field is not of the type that its class declares.
    """
    data = msgspec.json.encode(record, order="sorted")
    try:
        _decoder(type(record)).decode(data)
    except msgspec.ValidationError as error:
        raise ValueError(f"{record.kind()} record of run '{record.name}': {error}") from error
    text = msgspec.json.format(data, indent=1) + b"\n"
    path = Path(folder) / RECORD_NAME
    write_atomically(path, lambda file: file.write(text))
    return path


@overload
def read_record(path: str | Path) -> Record: ...


@overload
def read_record(path: str | Path, kind: type[R]) -> R: ...


def read_record(path: str | Path, kind: type[Record] = Record) -> Record:
    """Read the record of a run, given its folder or the file itself.

    Args:
        path: of the folder or the file.
        kind: what it has to be; by default any kind will do.

    Raises:
        UserError: there is no record, it is of another kind, or this version cannot read it.
    """
    path = Path(path)
    try:
        try:
            data = path.read_bytes()
        except IsADirectoryError:
            path = path / RECORD_NAME
            data = path.read_bytes()
    except FileNotFoundError:
        raise UserError(f"no run record at {path}; a run writes it when it ends") from None
    except OSError as error:
        raise UserError(f"run record {path} cannot be read: {error.strerror}") from error
    record = _decoded(data, path)
    if not isinstance(record, kind):
        raise UserError(
            f"run record {path} is of kind {record.kind()}; one of {kind.kind()} is needed here"
        )
    return record


def _decoded(data: bytes, path: Path) -> Record:
    """Return the record that the bytes of a file hold."""
    with suppress(ValueError, RecursionError):  # what is not of today's layout takes longer
        return _TODAYS.decode(data)
    try:
        header = _HEADER.decode(data)
    except msgspec.ValidationError as error:
        raise UserError(one_line(f"{path} is not a run record: {error}")) from error
    except (ValueError, RecursionError) as error:
        raise UserError(
            one_line(f"run record {path} cannot be read: {error}"),
            "copy it again, or leave the run out",
        ) from error
    if header.schema > SCHEMA:
        raise UserError(
            f"run record {path} is of schema {header.schema}, this version reads up to {SCHEMA}:"
            " upgrade robust_det"
        )
    if header.schema < 1:
        raise UserError(f"{path} is not a run record: its schema is {header.schema}")
    kind = KINDS.get(header.kind)
    if kind is None:
        raise UserError(
            one_line(
                f"run record {path}: field 'kind' is {json.dumps(header.kind)}; this version knows"
                f" {', '.join(KINDS)}{did_you_mean(header.kind, KINDS)}"
            )
        )
    try:
        if header.schema < SCHEMA:
            data = upgraded(data, header.schema, header.kind)
        record: Record = _decoder(kind).decode(data)
    except (ValueError, RecursionError) as error:
        raise UserError(one_line(f"run record {path}: {error}")) from error
    return record
