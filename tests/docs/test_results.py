"""The tables in ``docs/results`` are what the committed records say, and nothing else."""

from __future__ import annotations

import csv
import io
import subprocess
import sys
from pathlib import Path

import pytest

from robust_det.analysis.compare import compare
from robust_det.records import read_record

RESULTS = Path(__file__).resolve().parents[2] / "docs" / "results"
STUDIES = sorted(path.parent for path in RESULTS.glob("*/runs"))


def test_there_are_results():
    assert STUDIES


@pytest.mark.parametrize("study", STUDIES, ids=lambda path: path.name)
def test_tables_follow_from_the_records(study, tmp_path):
    runs = sorted((study / "runs").iterdir())
    title = (study / "ap.md").read_text().splitlines()[0].removeprefix("# ")
    compare(runs, tmp_path / "out", title)
    assert (tmp_path / "out/ap.md").read_text() == (study / "ap.md").read_text()
    assert (tmp_path / "out/ap.csv").read_text() == (study / "ap.csv").read_text()


@pytest.mark.parametrize("study", STUDIES, ids=lambda path: path.name)
def test_records_are_of_clean_checkouts(study):
    for run in (study / "runs").iterdir():
        environment = read_record(run)["environment"]
        assert len(environment["commit"]) == 40
        assert environment["modified"] is False


def test_first_run_mean_by_hand():
    """The mean of the CSV is the mean of the figures in the records."""
    study = RESULTS / "first-run"
    values = [
        record["metrics"]["bbox"]["AP"]
        for run in (study / "runs").iterdir()
        if (record := read_record(run))["kind"] == "detection"
        and record["eps"] == 0
        and record["data"]["test"][0]["name"] == "bccd_test"
    ]
    rows = csv.DictReader(io.StringIO((study / "ap.csv").read_text()))
    (row,) = [
        r
        for r in rows
        if float(r["eps"]) == 0
        and r["task"] == "bbox"
        and r["metric"] == "AP"
        and int(r["n"]) == len(values)
        and abs(float(r["mean"]) - sum(values) / len(values)) < 1e-9
    ]
    assert len(values) >= 2
    assert row["arch"] == "resnet18"


ROOT = RESULTS.parents[1]


@pytest.mark.parametrize(
    "records", sorted((ROOT / "benchmarks/records").glob("*.jsonl")), ids=lambda path: path.stem
)
def test_benchmark_tables_are_those_of_the_records(records):
    script = ROOT / "benchmarks" / f"{records.stem}.py"
    table = subprocess.run(
        [sys.executable, script, "--table", records], capture_output=True, text=True, check=True
    ).stdout
    assert table.count("\n") >= 3
    assert table in (ROOT / "docs" / "benchmarks.md").read_text()
