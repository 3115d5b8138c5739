"""SQL over records: its answers against statistics of the JSON files, and what it may not do."""

from __future__ import annotations

import builtins
import csv
import io
import json
import statistics
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from robust_det.core.errors import UserError
from robust_det.records import Record
from robust_det.records.export import csv_text, export
from robust_det.records.sql import run_sql
from robust_det.records.table import Query, Table, select

duckdb = pytest.importorskip("duckdb")
Pairs = list[tuple[Path, Record]]
Plain = dict[str, dict[str, Any]]


def test_means_by_group(records: Pairs, plain: Plain) -> None:
    groups: dict[tuple[str, float], list[float]] = {}
    for one in plain.values():
        if one["kind"] == "transfer":
            value = one["metrics"][one["data"]["headline"]]
            own = one["data"]["set"] == "folder"
            name = one["config"]["DATA"]["ROOT"].split("/")[-1] if own else one["data"]["set"]
            groups.setdefault((name, one["eps"]), []).append(value)
    found = run_sql(
        records,
        "SELECT dataset, eps, avg(value) AS mean, count(*) AS n FROM records"
        " WHERE kind = 'transfer' GROUP BY dataset, eps ORDER BY dataset, eps",
    )
    assert found.columns == ["dataset", "eps", "mean", "n"]
    assert [row[:2] for row in found.rows] == [list(key) for key in sorted(groups)]
    for name, eps, mean, number in found.rows:
        assert mean == pytest.approx(statistics.fmean(groups[name, eps]), abs=1e-9)
        assert number == len(groups[name, eps])


def test_figures_and_keys_of_the_config(records: Pairs, plain: Plain) -> None:
    found = run_sql(
        records,
        'SELECT r.path, m.value, "config.TRANSFER.SUBSET" AS subset, "metrics.top1" AS top1,'
        " config->>'$.TRANSFER.MODE' AS mode FROM records r JOIN metrics m ON m.record = r.path"
        " WHERE m.metric = 'adversarial_top1' AND kind = 'transfer'",
    )
    assert len(found.rows) == sum(
        one["kind"] == "transfer" and "adversarial_top1" in one["metrics"] for one in plain.values()
    )
    for path, value, subset, top1, mode in found.rows:
        own = plain[path]
        assert value == own["metrics"]["adversarial_top1"] and top1 == own["metrics"]["top1"]
        assert subset == own["config"]["TRANSFER"]["SUBSET"]
        assert mode == own["config"]["TRANSFER"]["MODE"]


def test_every_figure_is_a_row(records: Pairs, plain: Plain) -> None:
    found = run_sql(records, "SELECT count(*) AS n, count(value) AS known FROM metrics")
    values = [
        value
        for one in plain.values()
        for inner in one.get("metrics", {}).values()
        for value in (inner.values() if isinstance(inner, dict) else [inner])
    ]
    values += [left["top1"] for one in plain.values() for left in one.get("robust", [])]
    assert found.rows == [[len(values), sum(value is not None for value in values)]]


@pytest.mark.parametrize(
    ("sql", "message"),
    [
        ("SELECT archh FROM records", 'column "archh" not found .*: "arch"'),
        ('SELECT "metrics.topp1" FROM records', "no column 'metrics.topp1'.* 'metrics.top1'"),
        ("SELECT metrics.top1 FROM records", "such as metrics.top1 stands in double quotes"),
        ("SELECT * FROM runs", "runs does not exist.*; the tables are records and metrics"),
        ("SELEC 1", "syntax error at or near"),
        ("SELECT eps, eps FROM records", "two columns are called 'eps'"),
        ("", "give one SELECT"),
        ("SELECT 1; SELECT 2", "give one SELECT"),
        ("DROP TABLE records", "give one SELECT"),
        ("SET enable_external_access = true", "give one SELECT"),
        ("ATTACH '{file}'", "give one SELECT"),
        ("COPY records TO '{file}'", "give one SELECT"),
        ("SELECT * FROM read_csv('{there}')", "file system operations are disabled"),
        ("SELECT * FROM '{there}'", "file system operations are disabled"),
        ("SELECT 'x'::INT", "Could not convert string 'x'"),
    ],
)
def test_mistakes_are_one_line_and_nothing_else_is_reached(
    sql: str, message: str, records: Pairs, tmp_path: Path
) -> None:
    there, file = tmp_path / "there.csv", tmp_path / "new.csv"
    there.write_text("a\n1\n")
    with pytest.raises(UserError, match=message) as caught:
        run_sql(records, sql.format(there=there, file=file))
    assert "\n" not in str(caught.value) and not file.exists()


def test_without_duckdb_it_is_said(
    records: Pairs, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = builtins.__import__

    def without(name: str, *rest: Any) -> Any:
        if name == "duckdb":
            raise ImportError(name)
        return real(name, *rest)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(UserError, match=r"pip install 'robust_det\[records\]'"):
        run_sql(records, "SELECT 1")
    table = select(records, Query(("name", "eps")))
    with pytest.raises(UserError, match="Parquet need DuckDB"):
        export(table, tmp_path / "a.parquet")
    assert not list(tmp_path.glob("*.parquet"))
    export(table, tmp_path / "a.csv")
    assert (tmp_path / "a.csv").read_text().splitlines()[0] == "name,eps"


def test_files_hold_what_the_table_does(records: Pairs, plain: Plain, tmp_path: Path) -> None:
    """Read back by others: csv and json of the standard library, and DuckDB."""
    table = select(records, Query(("*",)))
    for ending in ("csv", "jsonl", "parquet"):
        export(table, tmp_path / f"all.{ending}")
    lines = [json.loads(line) for line in (tmp_path / "all.jsonl").read_text().splitlines()]
    assert lines == [dict(zip(table.columns, row, strict=True)) for row in table.rows]
    rows = list(csv.DictReader(io.StringIO((tmp_path / "all.csv").read_text())))
    assert [row["path"] for row in rows] == list(plain)
    for row in rows:
        assert float(row["eps"]) == plain[row["path"]]["eps"] and row["modified"] == "false"
    found = duckdb.sql(
        f"""SELECT path, eps, seed, modified, "metrics.bbox.AP", "config.SEED"
        FROM '{tmp_path}/all.parquet'"""
    )
    assert [str(kind) for kind in found.types] == (
        ["VARCHAR", "DOUBLE", "BIGINT", "BOOLEAN", "DOUBLE", "BIGINT"]
    )
    for path, eps, seed, modified, ap, key in found.fetchall():
        own: Mapping[str, Any] = plain[path]
        assert (eps, seed, modified) == (own["eps"], own["seed"], False)
        assert ap == own["metrics"].get("bbox", {}).get("AP")
        # an evaluation's seed is no key of its config
        assert key == own["config"].get("SEED")


def test_a_file_is_replaced_only_when_that_is_asked_for(records: Pairs, tmp_path: Path) -> None:
    table, path = select(records, Query(("name",))), tmp_path / "it's.parquet"
    path.write_text("mine")
    with pytest.raises(UserError, match="exists; --overwrite replaces it"):
        export(table, path)
    assert path.read_text() == "mine"
    export(table, path, overwrite=True)
    quoted = str(path).replace("'", "''")
    assert duckdb.sql(f"SELECT count(*) FROM '{quoted}'").fetchall() == [(len(records),)]
    with pytest.raises(UserError, match=r"none of the endings \.csv, \.parquet, \.jsonl"):
        export(table, tmp_path / "a.xls")
    assert [each.name for each in tmp_path.iterdir()] == ["it's.parquet"]


def test_csv_of_what_there_is_not_is_empty() -> None:
    rows: Sequence[Any] = [[None, True, 0.1, "a,b"]]
    assert csv_text(Table(["a", "b", "c", "d"], list(rows), 1)) == 'a,b,c,d\n,true,0.1,"a,b"\n'
