"""``robust-det records`` on the records of this project's studies."""

from __future__ import annotations

import csv
import io
import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support import ROOT, Outcome

Command = Callable[..., Outcome]
RESULTS = ROOT / "docs" / "results"
EPS = RESULTS / "detection" / "eps"


def test_a_list_in_every_format(command: Command) -> None:
    asked = ("records", "ls", EPS, "kind=detection", "eps>0.5", "--sort", "seed")
    wanted = [
        json.loads((EPS / f"runs/tiny_r18_eps1_bccd_seed{seed}/record.json").read_text())
        for seed in range(3)
    ]
    figures = [one["metrics"]["bbox"]["AP"] for one in wanted]
    columns = ("--columns", "seed,value")
    table = command(*asked, *columns).out.splitlines()
    assert table[0].split() == ["seed", "value"] and table[-1] == "3 rows"
    assert [line.split() for line in table[2:5]] == [
        [str(seed), f"{value:.6g}"] for seed, value in enumerate(figures)
    ]
    done = command(*asked, *columns, "--format", "csv")
    rows = list(csv.reader(io.StringIO(done.out)))
    assert rows == [["seed", "value"], *([str(n), repr(v)] for n, v in enumerate(figures))]
    found = json.loads(command(*asked, *columns, "--format", "json", "--limit", "1").out)
    assert found == [{"seed": 0, "value": figures[0]}]
    markdown = command(*asked, *columns, "--format", "markdown").out.splitlines()
    assert markdown[0].replace(" ", "") == "|seed|value|" and len(markdown) == 5


def test_a_table_fits_the_terminal_and_says_what_it_has_no_room_for(
    command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    for width in (40, 72, 100, 400):
        monkeypatch.setenv("COLUMNS", str(width))
        lines = command("records", "ls", EPS).out.splitlines()
        assert max(map(len, lines[:-1])) <= width
        assert ("no room for" in lines[-1]) == (width < 400)
        shown = lines[0].split()
        left = lines[-1].partition("no room for ")[2].partition(":")[0]
        missing = left.split(", ") if left else []
        assert [*shown, *missing] == (
            ["name", "arch", "norm", "eps", "seed", "task", "mode", "value", "headline", "kind"]
            + ["path"]
        )


def test_nothing_found_is_an_empty_table(command: Command) -> None:
    none = ("records", "ls", EPS, "eps=7")
    assert command(*none).out.splitlines()[-1] == "0 rows"
    assert json.loads(command(*none, "--format", "json").out) == []


def test_a_record_with_its_lineage(command: Command) -> None:
    run = EPS / "runs/tiny_r18_eps0_bccd_seed0"
    done = command("records", "show", run, "--among", EPS, "--with-config")
    record = json.loads((run / "record.json").read_text())
    lines = [" ".join(line.split()) for line in done.out.splitlines()]
    assert f"bbox.AP {record['metrics']['bbox']['AP']:.6g}" in lines
    assert f"SOLVER.MAX_ITER {record['config']['SOLVER']['MAX_ITER']}" in lines
    start = lines.index("lineage")
    assert lines[start + 1].startswith("pretrain tiny_resnet18_l2_eps0 (")
    assert lines[start + 2] == f"converted to {record['weights']['sha256'][:16]}"
    assert lines[start + 3].endswith(", bbox.AP 51.1 <- this run")
    # the other way round, beside its own folder's runs
    other = command("records", "show", EPS / "runs/tiny_resnet18_l2_eps0").out
    assert other.count("fine-tuned: detection tiny_r18_eps0_bccd") == 3


def test_a_question_in_sql(command: Command) -> None:
    pytest.importorskip("duckdb")
    sql = "SELECT eps, count(*) AS n FROM records WHERE kind = 'detection' GROUP BY eps ORDER BY 1"
    done = command("records", "query", EPS, sql, "--format", "csv")
    assert done == (0, "eps,n\n0.0,3\n0.25,3\n1.0,3\n", "")
    wrong = command("records", "query", EPS, "SELECT epss FROM records")
    assert (wrong.code, wrong.out) == (2, "") and '"eps"' in wrong.error


def test_a_check_exits_by_what_it_finds(command: Command, tmp_path: Path) -> None:
    shutil.copytree(EPS / "runs", tmp_path / "runs")
    done = command("records", "check", tmp_path / "runs")
    assert done == (0, "12 of 12 records may enter a mean\n", "")
    bad = tmp_path / "runs/tiny_r18_eps0_bccd_seed0/record.json"
    bad.write_text(bad.read_text()[:100])
    done = command("records", "check", tmp_path / "runs")
    first, last = done.out.splitlines()
    assert done.code == 1 and last == "11 of 12 records may enter a mean"
    assert first.startswith(f"unreadable: {bad}: ")
    # a list goes without it, and says so beside its result
    listed = command("records", "ls", tmp_path / "runs", "--format", "json")
    assert listed.code == 1 and len(json.loads(listed.out)) == 11
    assert listed.err.startswith("left out: ") and str(bad) in listed.err


def test_a_file_for_others(command: Command, tmp_path: Path) -> None:
    out = tmp_path / "runs.csv"
    asked = ("records", "export", EPS, out, "--where", "kind=pretrain", "--columns", "name,eps")
    assert command(*asked) == (0, f"3 rows of 2 columns in {out}\n", "")
    rows = list(csv.DictReader(io.StringIO(out.read_text())))
    assert [float(row["eps"]) for row in rows] == [0.0, 0.25, 1.0]
    assert "--overwrite replaces it" in command(*asked).error
    assert command(*asked, "--overwrite").code == 0


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("ls", "nowhere"), "no folder nowhere"),
        (("ls", EPS, "ep>0"), "no column 'ep' in the records; did you mean 'eps'?"),
        (("ls", EPS, "--columns", "name,metrics.bbox.APP"), "did you mean 'metrics.bbox.AP'?"),
        (("ls", EPS, "--sort", "eps,"), "'eps,' has an empty name"),
        (("ls", EPS, "--limit", "0"), "--limit is a number of records, from 1 on"),
        (("ls", EPS, "--descending"), "--descending is of --sort"),
        (("show", EPS), "no run record at "),
        (("check", ROOT / "docs/data.md"), "run record cannot be read: "),
        (("export", EPS, "runs.xlsx"), "none of the endings .csv, .parquet, .jsonl"),
        (("ls", ROOT / "configs"), "no run record below "),
    ],
)
def test_mistakes_are_one_line(
    arguments: tuple[object, ...], message: str, command: Command, tmp_path: Path
) -> None:
    done = command("records", *arguments)
    if arguments[0] == "check":
        assert done.code == 1 and message in done.out
    else:
        assert (done.code, done.out) == (2, "") and message in done.error
