"""Chosen columns of chosen records, in a chosen order."""

from __future__ import annotations

import fnmatch
import functools
import math
import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from robust_det.core.errors import UserError, did_you_mean
from robust_det.core.memory import without_garbage_collection
from robust_det.records.base import Record
from robust_det.records.filters import Filter, matching
from robust_det.records.rows import COLUMNS, CONFIG, METRICS, config_of, figures, row_of

__all__ = ["Query", "Table", "rows_with", "select"]

_Pairs = Iterable[tuple[Path, Record]]
_Rows = Sequence[Mapping[str, Any]]
_PATTERN = re.compile(r"[*?[]")


@dataclass(frozen=True)
class Query:
    """What is asked for.

    Attributes:
        columns: names, or patterns such as ``metrics.*``.
        filters: that all rows fulfil.
        sort: columns, the first one first; rows without a value come last.
        descending: from the highest value on.
        limit: how many rows; None is all.
    """

    columns: tuple[str, ...] = tuple(COLUMNS)
    filters: tuple[Filter, ...] = ()
    sort: tuple[str, ...] = ()
    descending: bool = False
    limit: int | None = None

    def __post_init__(self) -> None:
        if self.limit is not None and self.limit < 1:
            raise UserError("--limit is a number of records, from 1 on")
        if self.descending and not self.sort:
            raise UserError("--descending is of --sort; add it, or leave it out")


@dataclass(frozen=True)
class Table:
    """What came out.

    Attributes:
        columns: their names.
        rows: a value a column each; None where there is none.
        of: how many records fulfil the filters.
    """

    columns: list[str]
    rows: list[list[Any]]
    of: int = field(default=0)


def select(records: _Pairs, query: Query) -> Table:
    """Return what is asked for.

    Args:
        records: each with its file; gone through once, and once more for advice on a mistake.
        query: what is asked for.

    Raises:
        UserError: a column is not among those of the records.
    """
    named = [*query.sort, *(one.column for one in query.filters)]
    rows = rows_with(records, [*query.columns, *named])
    _require(records, rows, named)
    found = matching(rows, query.filters)
    columns = _expanded(records, rows, found, query.columns)
    for name in reversed(query.sort):
        found = _sorted(found, name, query.descending)
    shown = found[: query.limit]
    return Table(columns, [[row.get(name) for name in columns] for row in shown], len(found))


def rows_with(
    records: _Pairs,
    wanted: Iterable[str],
    whole_config: bool = False,
    all_figures: bool = False,
) -> list[dict[str, Any]]:
    """Return flat rows that have all of :data:`.rows.COLUMNS`, and those wanted.

    Figures, and the keys of configs, of which there are many, are read where a name asks for them.

    Args:
        records: each with its file; gone through once.
        wanted: names or patterns of columns.
        whole_config: give a column ``config`` as well, all of a config as JSON.
        all_figures: and a column ``metrics``, a dictionary of them by their names.
    """
    asked = list(wanted)
    with_figures = any(_may_be(name, METRICS) for name in asked)
    with_config = any(_may_be(name, CONFIG) for name in asked)
    matches = functools.cache(lambda name: any(fnmatch.fnmatchcase(name, one) for one in asked))
    rows = []
    with without_garbage_collection():
        for path, record in records:
            row = row_of(record, path)
            if with_figures:
                found = ((METRICS + name, value) for name, value in figures(record))
                row |= {column: value for column, value in found if matches(column)}
            if with_config:
                row |= config_of(record, matches)
            if all_figures:
                row["metrics"] = dict(figures(record))
            if whole_config:
                row["config"] = bytes(record.raw_config).decode()
            rows.append(row)
    _fill_in_seeds(rows)
    return rows


def _fill_in_seeds(rows: Sequence[dict[str, Any]]) -> None:
    """Say the seed of the pretraining behind each row's weights; a file of two seeds has none."""
    seeds: dict[str, set[int]] = {}
    for row in rows:
        if row["pretraining_seed"] is not None and row["weights_sha256"]:
            seeds.setdefault(row["weights_sha256"], set()).add(row["pretraining_seed"])
    known = {sha256: min(found) for sha256, found in seeds.items() if len(found) == 1}
    for row in rows:
        row["pretraining_seed"] = known.get(row["origin_sha256"], row["pretraining_seed"])


def _may_be(name: str, prefix: str) -> bool:
    """Whether a name or a pattern may be of a column that begins so."""
    head = _PATTERN.split(name)[0]
    return head.startswith(prefix) or (head != name and prefix.startswith(head))


def _expanded(records: _Pairs, rows: _Rows, found: _Rows, asked: Sequence[str]) -> list[str]:
    """Return the columns that names and patterns mean; patterns are of what the rows found have."""
    names = [name for name in asked if not _PATTERN.search(name)]
    _require(records, rows, names)
    there = _columns(found)
    out: dict[str, None] = {}
    for name in asked:
        if name in names:
            out[name] = None
            continue
        meant = fnmatch.filter(there, name)
        if not meant and found:
            raise UserError(f"no column is like '{name}' in the records{_others()}")
        out |= dict.fromkeys(meant)
    return list(out)


def _require(records: _Pairs, rows: _Rows, names: Iterable[str]) -> None:
    """Refuse columns that are not there."""
    known: Collection[str] = COLUMNS
    for name in names:
        if name in known:
            continue
        known = _columns(rows)
        if name not in known:
            every = _columns(rows_with(records, ("*",)))
            raise UserError(
                f"no column '{name}' in the records{did_you_mean(name, every) or _others()}"
            )


def _columns(rows: _Rows) -> list[str]:
    return list(dict.fromkeys([*COLUMNS, *(name for row in rows for name in row)]))


def _others() -> str:
    return f"; there are {', '.join(COLUMNS)}, metrics.* and config.*"


def _sorted(rows: list[Any], name: str, descending: bool) -> list[Any]:
    """Sort by a column; numbers come before texts, and what is not known last."""
    known = [row for row in rows if _comparable(row.get(name))]
    rest = [row for row in rows if not _comparable(row.get(name))]
    return [*sorted(known, key=lambda row: _order(row[name]), reverse=descending), *rest]


def _comparable(value: Any) -> bool:
    return value is not None and not (isinstance(value, float) and math.isnan(value))


def _order(value: Any) -> tuple[bool, Any]:
    return isinstance(value, str), value
