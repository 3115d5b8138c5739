"""SQL over records, by DuckDB, which is an optional library."""

from __future__ import annotations

import datetime
import decimal
import re
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from robust_det.core.errors import UserError, did_you_mean, one_line
from robust_det.records.base import Record
from robust_det.records.rows import COLUMNS, plain
from robust_det.records.table import Table, rows_with

if TYPE_CHECKING:
    import duckdb

__all__ = ["connect", "fill", "run_sql"]

_TYPES: Final = {
    "eps": "DOUBLE",
    "seed": "BIGINT",
    "pretraining_seed": "BIGINT",
    "value": "DOUBLE",
    "modified": "BOOLEAN",
    "wall_time_s": "DOUBLE",
}
_QUOTED = re.compile(r'"((?:metrics|config)\.[^"]+)"')
_UNQUOTED = re.compile(r'(?<!["\w.])(?:metrics|config)\.\w+\.?')
_METRICS = re.compile(r"\bmetrics\b", re.IGNORECASE)
_CONFIG = re.compile(r"\bconfig\b(?!\.)", re.IGNORECASE)
_OF_METRICS = re.compile(r"\b(?:from|join|,)\s+metrics\b", re.IGNORECASE)


def run_sql(records: Iterable[tuple[Path, Record]], sql: str) -> Table:
    """Return what a query finds.

    Its tables are ``records``, a row a record, with the columns of :data:`.rows.COLUMNS`, and such
    of ``"metrics.NAME"``, ``"config.KEY"`` and ``config``, all of it as JSON, as the query names;
    and ``metrics``, a row a figure: ``record`` (the path), ``metric``, ``value``. It can neither
    change nor read anything else: no files, no network, no settings.

    Args:
        records: each with its file; gone through once, and once more for advice on a mistake.
        sql: one SELECT.

    Raises:
        UserError: DuckDB is not installed, or the query is wrong.
    """
    connection = connect()
    import duckdb

    try:
        statements = connection.extract_statements(sql)
        if len(statements) != 1 or statements[0].type != duckdb.StatementType.SELECT:
            raise UserError("give one SELECT; records are read, and nothing is changed")
        named = list(dict.fromkeys(_QUOTED.findall(sql)))
        config = ["config"] if _CONFIG.search(sql) else []
        figures = _METRICS.search(sql) is not None
        rows = rows_with(records, named, whole_config=bool(config), all_figures=figures)
        known = {name for row in rows for name in row}
        for name in named:
            if name not in known:
                raise UserError(f"no column '{name}' in the records{_nearest(records, name)}")
        fill(connection, "records", [*COLUMNS, *named, *config], rows)
        if figures:
            _fill_metrics(connection, rows)
        connection.execute("SET enable_external_access = false")
        connection.execute("SET lock_configuration = true")
        done = connection.execute(sql)
        columns = [each[0] for each in done.description or ()]
        twice = [name for name in columns if columns.count(name) > 1]
        if twice:
            raise UserError(f"two columns are called '{twice[0]}'; name one by AS")
        found = [[_plain(value) for value in row] for row in done.fetchall()]
    except duckdb.Error as error:
        raise UserError(_said(error), _advice(error, sql)) from error
    finally:
        connection.close()
    return Table(columns, found, len(found))


def connect() -> duckdb.DuckDBPyConnection:
    """Return an empty database in memory.

    Raises:
        UserError: DuckDB is not installed.
    """
    try:
        import duckdb
    except ImportError:
        raise UserError(
            "SQL and Parquet need DuckDB, which is not installed: pip install 'robust_det[records]'"
        ) from None
    return duckdb.connect(":memory:", config={"threads": 1})


def fill(
    connection: duckdb.DuckDBPyConnection,
    name: str,
    columns: Sequence[str],
    rows: Sequence[dict[str, Any]],
) -> None:
    """Make a table of rows; what a row does not have is NULL."""
    values = [[row.get(column) for row in rows] for column in columns]
    types = [
        _TYPES.get(column) or ("VARCHAR" if column in COLUMNS else _type(found))
        for column, found in zip(columns, values, strict=True)
    ]
    values = [
        [None if value is None else str(plain(value)) for value in found]
        if kind == "VARCHAR"
        else found
        for kind, found in zip(types, values, strict=True)
    ]
    _create(connection, name, columns, types, values)


def _create(
    connection: duckdb.DuckDBPyConnection,
    name: str,
    columns: Sequence[str],
    types: Sequence[str],
    values: Sequence[list[Any]],
) -> None:
    quoted = ['"' + column.replace('"', '""') + '"' for column in columns]
    parts = [f"unnest(?::{kind}[]) AS {each}" for kind, each in zip(types, quoted, strict=True)]
    connection.execute(f'CREATE TABLE "{name}" AS SELECT {", ".join(parts)}', values)


def _fill_metrics(connection: duckdb.DuckDBPyConnection, rows: Sequence[dict[str, Any]]) -> None:
    """Make the table of figures. Most records have the names of another one: handing these over
    once takes a third of the time that a name a figure takes."""
    by_names: dict[tuple[str, ...], list[dict[str, Any]]] = {}
    for row in rows:
        by_names.setdefault(tuple(row["metrics"]), []).append(row)
    connection.execute('CREATE TABLE "metrics" (record VARCHAR, metric VARCHAR, value DOUBLE)')
    for names, alike in by_names.items():
        paths = [row["path"] for row in alike]
        values = [list(row["metrics"].values()) for row in alike]
        connection.execute(
            "INSERT INTO metrics SELECT record, unnest(?::VARCHAR[]), unnest(figures) FROM"
            " (SELECT unnest(?::VARCHAR[]) AS record, unnest(?::DOUBLE[][]) AS figures)",
            [list(names), paths, values],
        )


def _type(values: Sequence[Any]) -> str:
    """The type of a column: that of all of its values, or text."""
    kinds = {type(value) for value in values if value is not None}
    if kinds == {bool}:
        return "BOOLEAN"
    if kinds == {int}:
        return "BIGINT"
    return "DOUBLE" if kinds and kinds <= {int, float} else "VARCHAR"


def _nearest(records: Iterable[tuple[Path, Record]], name: str) -> str:
    return did_you_mean(name, {key for row in rows_with(records, ("*",)) for key in row})


def _said(error: duckdb.Error) -> str:
    """The error on one line, without the query, which the user knows."""
    return one_line(" ".join(str(error).partition("\n\nLINE ")[0].split()))


def _advice(error: duckdb.Error, sql: str) -> str:
    import duckdb

    if isinstance(error, duckdb.CatalogException):
        return "the tables are records and metrics"
    found = None if _OF_METRICS.search(sql) else _UNQUOTED.search(sql)
    if isinstance(error, duckdb.BinderException) and found:
        return f"a column such as {found[0].rstrip('.')} stands in double quotes"
    return ""


def _plain(value: Any) -> Any:
    """A value as :func:`.rows.plain` gives it."""
    if isinstance(value, decimal.Decimal):
        return float(value)
    if isinstance(value, (datetime.date, datetime.datetime, datetime.time)):
        return value.isoformat()
    return plain(value)
