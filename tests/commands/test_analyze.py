"""``robust-det analyze``: what it writes, and what it refuses in one line."""

from __future__ import annotations

import csv
import hashlib
import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from robust_det.analysis.questions import QUESTIONS
from robust_det.commands.jobs.analyze import NAMES
from tests.support import ROOT
from tests.support.transfer_records import Write, writer_below

RESULTS = ROOT / "docs/results"


@pytest.fixture
def write(tmp_path: Path) -> Write:
    """Return :func:`.write_transfer` in a folder of its own each time."""
    return writer_below(tmp_path)


def test_the_command_knows_the_questions() -> None:
    assert set(NAMES) >= set(QUESTIONS)


def test_an_answer_is_a_summary_with_tables_and_pictures(
    write: Write, tmp_path: Path, command: Any
) -> None:
    for run, (low, high) in enumerate([(60.0, 64.0), (60.5, 64.7), (59.8, 63.9)]):
        write(0.0, low, pretraining=run)
        write(3.0, high, pretraining=run)
    out = tmp_path / "answer"
    done = command("analyze", "fixed-feature", "--runs", tmp_path / "runs", "--output", out)
    assert done.code == 0, done.err
    assert "Yes, on this data: a robust backbone is above the standard one" in done.out
    summary = (out / "summary.md").read_text()
    assert "plots/fixed-feature_differences.png" in summary and "3 an ε" in summary
    for file in ("fixed-feature_differences", "fixed-feature_curves"):
        assert (out / f"plots/{file}.png").read_bytes().startswith(b"\x89PNG")
        assert b"<svg" in (out / f"plots/{file}.svg").read_bytes()
    rows = list(csv.DictReader((out / "fixed-feature.csv").read_text().splitlines()))
    (fixed,) = [row for row in rows if not row["choice"]]
    assert float(fixed["difference"]) == pytest.approx((64.0 + 64.7 + 63.9) / 3 - 60.1)
    # renewed in place, and nothing else is touched
    (out / "plots/mine.txt").write_text("mine")
    again = command("analyze", "fixed-feature", "--reported", "--output", out)
    assert again.code == 0
    assert not (out / "fixed-feature.csv").exists() and (out / "plots/mine.txt").exists()


def refused(command: Any, tmp_path: Path, *arguments: object) -> str:
    done = command("analyze", *arguments, "--output", tmp_path / "none")
    assert done.code == 2 and done.err.startswith("error: ") and done.err.count("\n") == 1
    assert not (tmp_path / "none").exists()
    return str(done.err)


def test_one_of_runs_and_reported_is_asked_for(write: Write, tmp_path: Path, command: Any) -> None:
    run = write(0.0, 60.0)
    assert "give one of them" in refused(command, tmp_path, "fixed-feature")
    both = refused(command, tmp_path, "fixed-feature", "--reported", "--runs", run)
    assert "--runs and --reported contradict" in both


def test_runs_that_are_missing_are_named_with_their_commands(
    write: Write, tmp_path: Path, command: Any
) -> None:
    write(0.0, 60.0)
    error = refused(command, tmp_path, "fixed-feature", "--runs", tmp_path / "runs")
    assert "fixed-feature runs from a standard and a robust backbone are missing" in error
    assert "robust-det sweep --output output/transfer --run 'transfer" in error
    error = refused(command, tmp_path, "full-network", "--runs", tmp_path / "runs")
    assert "--mode full-network" in error


def test_two_pretraining_seeds_with_one_hash_are_one(
    write: Write, tmp_path: Path, command: Any
) -> None:
    for eps in (0.0, 3.0):
        write(eps, 60.0 + eps)
    run = RESULTS / "detection/eps/runs/tiny_resnet18_l2_eps0/record.json"
    record = json.loads(run.read_text())
    for seed in (0, 1):
        folder = tmp_path / f"runs/pretrain{seed}"
        folder.mkdir()
        (folder / "record.json").write_text(json.dumps({**record, "seed": seed}))
    out = tmp_path / "answer"
    done = command("analyze", "fixed-feature", "--runs", tmp_path / "runs", "--output", out)
    (told,) = [line for line in done.out.splitlines() if line.startswith("Left out, ")]
    assert told.startswith(
        f"Left out, one hash: {tmp_path}/runs/pretrain1/record.json: its weights"
    )
    assert told.endswith("seeds 0 and 1.")


def test_one_hash_of_two_eps_counts_for_none(write: Write, tmp_path: Path, command: Any) -> None:
    from robust_det.records.base import Weights

    weights = Weights("b.pth", hashlib.sha256(b"b").hexdigest())
    write(0.0, 60.0, weights=weights)
    write(3.0, 63.0, weights=weights)
    error = refused(command, tmp_path, "fixed-feature", "--runs", tmp_path / "runs")
    assert "none of 2 records may enter a mean (2 by contradiction)" in error
    assert "are resnet18 standard here and resnet18 L2 ε 3 in" in error
    # what is left does not answer, and why there is no more is said
    write(0.0, 60.0, pretraining=1)
    error = refused(command, tmp_path, "fixed-feature", "--runs", tmp_path / "runs")
    assert "of 1 record none compares" in error and "left out are 2 by contradiction" in error
    # and where it does, both are named
    write(3.0, 60.0, pretraining=1)
    done = command(
        "analyze", "fixed-feature", "--runs", tmp_path / "runs", "--output", tmp_path / "answer"
    )
    assert done.code == 0 and done.out.count("Left out, contradiction: ") == 2


def test_without_an_answer_it_is_said_that_an_eps_is_unknown(
    write: Write, tmp_path: Path, command: Any
) -> None:
    write(None, 70.0)
    error = refused(command, tmp_path, "fixed-feature", "--runs", tmp_path / "runs")
    assert "of 0 records none compares" in error
    assert "; left out are 1 having a backbone of unknown eps; make them, as by" in error


def test_backbones_of_two_ways_of_pretraining_are_told_of(
    write: Write, tmp_path: Path, command: Any
) -> None:
    for run, way in enumerate(("pgd", "trades")):
        write(0.0, 60.0 + run, pretraining=run)
        record = json.loads((write(3.0, 63.0 + run, pretraining=run) / "record.json").read_text())
        made = json.loads((RESULTS / f"pretraining/runs/{way}_seed0/record.json").read_text())
        made |= {name: record[name] for name in ("arch", "norm", "eps")} | {"seed": run}
        made["weights"]["sha256"] = record["weights"]["sha256"]
        folder = tmp_path / "runs" / way
        folder.mkdir()
        (folder / "record.json").write_text(json.dumps(made))
    out = tmp_path / "answer"
    done = command("analyze", "fixed-feature", "--runs", tmp_path / "runs", "--output", out)
    assert done.code == 0, done.err
    said = "In doubt: backbones of resnet18 L2 ε 3 were pretrained in several ways (pgd; trades)"
    assert said in done.out and said in (out / "summary.md").read_text()


def test_what_does_not_count_is_named(write: Write, tmp_path: Path, command: Any) -> None:
    for run in range(2):
        write(0.0, 60.0 + run, pretraining=run)
        write(3.0, 63.0 + run, pretraining=run)
    undefined = write(3.0, None, pretraining=2)
    unknown = write(None, 70.0)
    twice = write(3.0, 63.0)
    cut = tmp_path / "runs/cut"
    cut.mkdir()
    (cut / "log.txt").touch()
    shutil.copytree(RESULTS / "pretraining/runs/pgd_seed0_quick", tmp_path / "runs/attacked")
    stylized = write(0.0, 50.0, pretraining=3, arch="resnet50")
    record = json.loads((stylized / "record.json").read_text())
    record["weights"]["path"] = "robust://resnet50_stylized"
    (stylized / "record.json").write_text(json.dumps(record))
    out = tmp_path / "answer"
    done = command("analyze", "fixed-feature", "--runs", tmp_path / "runs", "--output", out)
    assert done.code == 0, done.err
    said = "it has no value (NaN or infinite)"
    assert f"Left out, undefined: {undefined}/record.json: top1: {said}." in done.out
    assert f"Left out, having a backbone of unknown eps: {unknown}." in done.out
    assert f"Left out, repeat: {twice}/record.json: it has weights, seed and config of" in done.out
    assert f"Left out, interrupted: {cut}: it has no run record: it was interrupted" in done.out
    assert "Left aside, as no question is about kind robustness: 1 record." in done.out
    rows = list(csv.DictReader((out / "fixed-feature.csv").read_text().splitlines()))
    assert {row["arch"] for row in rows} == {"resnet18"}  # that of Stylized-ImageNet is no standard
    (fixed,) = [row for row in rows if not row["choice"]]
    assert float(fixed["difference"]) == pytest.approx(3.0) and fixed["pretraining_runs"] == "2"


def test_a_record_with_nan_in_it_is_refused(write: Write, tmp_path: Path, command: Any) -> None:
    path = write(0.0, 60.0) / "record.json"
    path.write_text(path.read_text().replace("60.0", "NaN"))
    assert str(path) in refused(command, tmp_path, "fixed-feature", "--runs", tmp_path / "runs")


@pytest.mark.parametrize(
    "arguments, message",
    [
        ("similarity --runs a", "--runs has no effect on similarity, which asks --backbones"),
        ("similarity --reported", "--reported has no effect on similarity, which asks --backbones"),
        ("similarity --images a", "similarity asks networks: give --backbones, files or names"),
        ("similarity --backbones a b", "similarity looks at images: give --images, files or"),
        ("similarity --backbones a --cue-conflict b", "--cue-conflict has no effect on similarity"),
        ("similarity --backbones a --images b --draw 0", "--draw is 0; it starts from 1"),
        ("similarity --backbones a --images b --grid 0", "--grid is 0; it starts from 1"),
        ("similarity --backbones a --images b --batch 0", "--batch is 0; it starts from 1"),
        ("eps --runs a --backbones b", "--backbones has no effect on eps, which asks --runs"),
        ("eps --runs a --cue-conflict b", "--cue-conflict has no effect on eps, which asks --runs"),
        ("texture --runs a --size 64", "--size has no effect on texture, which asks --runs, or"),
        ("texture --backbones a", "--backbones has no effect on texture, which asks --runs, or"),
        ("texture --cue-conflict a", "texture --cue-conflict asks networks: give --backbones"),
        (
            "texture --cue-conflict a --backbones b --runs c",
            "--runs has no effect on texture --cue-conflict, which asks --backbones",
        ),
        (
            "texture --cue-conflict a --backbones b --draw 9",
            "--draw has no effect on texture --cue-conflict, leave it out",
        ),
    ],
)
def test_what_is_asked_of_records_is_not_asked_of_networks(
    arguments: str, message: str, tmp_path: Path, command: Any
) -> None:
    assert message in refused(command, tmp_path, *arguments.split())
