"""Tables of records as files."""

from __future__ import annotations

import csv
import io
import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import IO, Any

from robust_det.core.errors import UserError
from robust_det.core.files import write_atomically
from robust_det.core.outputs import new_file
from robust_det.records.sql import connect, fill
from robust_det.records.table import Table

__all__ = ["FORMATS", "csv_text", "export", "json_lines", "require_format"]


def export(table: Table, path: Path, overwrite: bool = False) -> None:
    """Write a table to a file, whole or not at all.

    Args:
        table: what to write.
        path: with one of the suffixes of :data:`FORMATS`.
        overwrite: replace what is there.

    Raises:
        UserError: the suffix is another one, the file is there, or DuckDB, which writes Parquet, is
            not installed.
    """
    write = require_format(path)
    with new_file(path, overwrite):
        write_atomically(path, lambda file: write(table, file))


def require_format(path: Path) -> Callable[[Table, IO[bytes]], None]:
    """Return what writes a file of that name.

    Raises:
        UserError: nothing does, or DuckDB, which writes Parquet, is not installed.
    """
    write = FORMATS.get(path.suffix.lower())
    if write is None:
        raise UserError(f"{path} has none of the endings {', '.join(FORMATS)}; give it one")
    if write is _parquet:
        connect().close()
    return write


def csv_text(table: Table) -> str:
    """Return a table as CSV; what there is not is empty, flags are true and false."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(table.columns)
    writer.writerows(
        [str(value).lower() if isinstance(value, bool) else value for value in row]
        for row in table.rows
    )
    return out.getvalue()


def json_lines(table: Table) -> list[str]:
    """Return each row as a JSON object."""
    return [
        json.dumps(
            {name: _finite(value) for name, value in zip(table.columns, row, strict=True)},
            ensure_ascii=False,
        )
        for row in table.rows
    ]


def _finite(value: Any) -> Any:
    """JSON has neither NaN nor infinity."""
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _csv(table: Table, file: IO[bytes]) -> None:
    file.write(csv_text(table).encode())


def _jsonl(table: Table, file: IO[bytes]) -> None:
    file.write("".join(f"{line}\n" for line in json_lines(table)).encode())


def _parquet(table: Table, file: IO[bytes]) -> None:
    rows: list[dict[str, Any]] = [dict(zip(table.columns, row, strict=True)) for row in table.rows]
    connection = connect()
    try:
        fill(connection, "records", table.columns, rows)
        place = file.name.replace("'", "''")
        connection.execute(f"COPY records TO '{place}' (FORMAT parquet, USE_TMP_FILE false)")
    finally:
        connection.close()


FORMATS: dict[str, Callable[[Table, IO[bytes]], None]] = {
    ".csv": _csv,
    ".parquet": _parquet,
    ".jsonl": _jsonl,
}
