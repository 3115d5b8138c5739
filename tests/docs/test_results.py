"""The tables in ``docs/results`` are what the committed records say, and nothing else."""

from __future__ import annotations

import csv
import io
import json
import os
import runpy
import sys
from pathlib import Path
from typing import Any

import pytest

from robust_det.analysis.compare import compare
from robust_det.analysis.options import Options
from robust_det.analysis.sweep_table import results_table
from robust_det.launch.notation import parse_sweep
from robust_det.records import read_record
from robust_det.records.detection import DetectionRecord

RESULTS = Path(__file__).resolve().parents[2] / "docs" / "results"
STUDIES = sorted(path.parent for path in RESULTS.glob("**/runs"))


def test_there_are_results() -> None:
    assert STUDIES


@pytest.mark.parametrize("study", STUDIES, ids=lambda path: path.relative_to(RESULTS).as_posix())
def test_tables_follow_from_the_records(study: Any, tmp_path: Path) -> None:
    runs = sorted((study / "runs").iterdir())
    (table,) = (study / name for name in ("ap.md", "accuracy.md") if (study / name).is_file())
    title = table.read_text().splitlines()[0].removeprefix("# ")
    compare(runs, tmp_path / "out", title)
    made, kept = (tmp_path / "out" / table.name).read_text(), table.read_text()
    if (study / "significance.md").is_file():  # its answer needs the ground truth, see below
        made, kept = (text[text.index("\n## ") :] for text in (made, kept))
    assert made == kept
    figures = {path.name: path.read_text() for path in (tmp_path / "out").glob("*.csv")}
    assert figures
    assert figures == {name: (study / name).read_text() for name in figures}


@pytest.mark.parametrize("study", STUDIES, ids=lambda path: path.relative_to(RESULTS).as_posix())
def test_records_are_of_clean_checkouts(study: Any) -> None:
    for run in (study / "runs").iterdir():
        environment = read_record(run).environment
        assert environment.commit and len(environment.commit) == 40
        assert environment.modified is False


def test_first_run_mean_by_hand() -> None:
    """The mean of the CSV is the mean of the figures in the records."""
    study = RESULTS / "first-run"
    values = [
        record.metrics["bbox"]["AP"] or 0.0
        for run in (study / "runs").iterdir()
        if isinstance(record := read_record(run), DetectionRecord)
        and record.eps == 0
        and record.data.test[0].name == "bccd_test"
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


DETECTION = RESULTS / "detection"
# the ground truth of a data set that is not part of the repository
DATA = Path(os.environ.get("DETECTRON2_DATASETS", RESULTS.parents[2] / "shared/data"))
TRUTH = DATA / "bccd/coco/instances_test.json"


@pytest.mark.skipif(not TRUTH.is_file(), reason="BCCD is not there")
def test_intervals_and_errors_follow_from_the_detections(tmp_path: Path) -> None:
    study = DETECTION / "eps"
    title = (study / "ap.md").read_text().splitlines()[0].removeprefix("# ")
    options = Options(significance=True, errors=True, resamples=1000, seed=0, annotations=(TRUTH,))
    compare(sorted((study / "runs").iterdir()), tmp_path / "out", title, options)
    for name in ("ap.md", "significance.md", "significance.csv", "errors.csv"):
        assert (tmp_path / "out" / name).read_text() == (study / name).read_text()


def test_the_answer_in_words_is_that_of_the_comparison() -> None:
    study = DETECTION / "eps"
    (line,) = [x for x in (study / "ap.md").read_text().splitlines() if x.startswith("- ")]
    answer = line.removeprefix("- Yes, on this data: ").replace("\\", "")
    interval, _, rest = answer.partition(" box AP over images")
    wider = rest.partition("allows for that: ")[2].partition(" at ")[0]
    said = " ".join((study / "README.md").read_text().split())
    assert interval.startswith("+") and wider.startswith("[+")
    assert f"yes, on this data: {interval} box AP over images at eps 0.25, three seeds" in said
    assert f"({wider})" in said


def test_table_of_the_matrix_follows_from_the_records() -> None:
    study = DETECTION / "matrix"
    entries = parse_sweep((study / "runs.txt").read_text().splitlines(), "runs.txt")
    table = results_table([(study / "runs" / e.name, e.group) for e in entries], "pipe")
    assert (study / "results.md").read_text() == table + "\n"
    rows = table.partition("\n\n")[0]
    assert rows.count("\n") == len(entries) + 1
    assert rows in (study / "README.md").read_text()


@pytest.mark.parametrize(
    "xml",
    sorted((DETECTION / "matrix/runs").glob("bccd_xml_*")),
    ids=lambda path: path.name,
)
def test_both_forms_of_annotations_give_the_same_figures(xml: Any) -> None:
    """The trained twin, and the detectors that were scored both ways."""
    by_xml = read_record(xml, DetectionRecord)
    ours = [read_record(run) for run in xml.parent.iterdir() if "_xml_" not in run.name]
    (by_json,) = [
        record
        for record in ours
        if isinstance(record, DetectionRecord)
        and all(
            getattr(record, key) == getattr(by_xml, key)
            for key in ("arch", "seed", "weights", "schedule")
        )
        and _architecture(record) == _architecture(by_xml)
        and record.data.test[0].name == "bccd_test"
    ]
    assert by_json.metrics == by_xml.metrics
    assert by_json.data.test[0].sha256 != by_xml.data.test[0].sha256


def _architecture(record: Any) -> Any:
    model = record.config["MODEL"]
    return model["META_ARCHITECTURE"], model["BACKBONE"]["NAME"]


ROOT = RESULTS.parents[1]


@pytest.mark.parametrize(
    "records", sorted((ROOT / "benchmarks/records").glob("*.jsonl")), ids=lambda path: path.stem
)
def test_benchmark_tables_are_those_of_the_records(
    records: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    script = ROOT / "benchmarks" / f"{records.stem}.py"
    monkeypatch.syspath_prepend(script.parent)
    monkeypatch.setattr(sys, "argv", [script.name, "--table", str(records)])
    runpy.run_path(str(script), run_name="__main__")
    table = capsys.readouterr().out
    assert table.count("\n") >= 3
    assert table in (ROOT / "docs" / "benchmarks.md").read_text()


def test_what_the_study_of_transfers_quotes_is_what_the_comparison_says() -> None:
    study = RESULTS / "transfer"
    lines = (study / "README.md").read_text().splitlines()
    quoted = [line.removeprefix("> ") for line in lines if line.startswith("> ")]
    said = (study / "accuracy.md").read_text()
    assert len(quoted) == 4
    assert all(line in said for line in quoted)


def test_rank_correlations_of_the_study_of_transfers_are_those_of_the_records() -> None:
    study = RESULTS / "transfer"
    said = (study / "README.md").read_text()
    for name in ("caltech101", "flowers", "cifar10", "dtd10"):
        reached = json.loads((study / "rank" / f"{name}.json").read_text())["reached"]
        for mode in ("fixed-feature", "full-network"):
            ridge, logme = (f"{x['rho']:.2f}" for x in reached if mode in x["setting"])
            assert f"| {name} | {mode} | {ridge} | {logme} |" in said
    reached = json.loads((study / "bccd" / "rank.json").read_text())["reached"]
    ridge, logme = (f"{x['rho']:.2f}" for x in reached)
    assert f"| BCCD | box AP | {ridge} | {logme} |" in said


def test_the_tables_of_training_methods_are_those_of_the_comparison() -> None:
    study = RESULTS / "pretraining"

    def rows(text: str, *starts: str) -> list[list[str]]:
        lines = [line for line in text.splitlines() if line.startswith(starts)]
        return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]

    made = (study / "accuracy.md").read_text().replace("\\", "")
    made = made[made.index("## Trainings under") :]
    shown = rows((study / "README.md").read_text(), "| L2", "| standard")
    assert len(shown) == 7
    for row, cells in zip(shown, rows(made, "| timm"), strict=True):  # but passes and minutes
        assert row == [cells[0].removeprefix("timm:test_resnet "), *cells[1:-2]]
