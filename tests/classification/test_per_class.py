"""Accuracies of classes: in tables, in a line, and against those of the images."""

from __future__ import annotations

import csv
import json
import shutil
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
import torch

from robust_det.classification.per_class.table import ClassRow, ClassTable, table_of
from robust_det.classification.per_class.tally import ClassTally
from robust_det.core.files import sha256_file
from robust_det.training.world import World


def rows_of(path: Path) -> list[dict[str, str]]:
    return list(csv.DictReader(path.read_text().splitlines()))


def test_counts_are_those_of_the_images_of_each_class() -> None:
    generator = torch.Generator().manual_seed(0)
    targets = torch.randint(5, (60,), generator=generator)
    targets[targets == 3] = 4
    right = torch.rand(60, generator=generator) < 0.6
    tally = ClassTally(5, torch.device("cpu"))
    for part in range(0, 60, 7):
        own = slice(part, part + 7)
        tally.add(targets[own], right[own], attacked=False)
        tally.add(targets[own][:2], right[own][:2], attacked=True)
    tally.gather(World())
    images, hits = Counter(targets.tolist()), Counter(targets[right].tolist())
    table = table_of(tally, ["a", "b", "c", "d", "e"], "l2", 0.5)
    assert [row.name for row in table.rows] == ["a", "b", "c", "e"]
    assert [row.images for row in table.rows] == [images[n] for n in (0, 1, 2, 4)]
    assert [row.correct for row in table.rows] == [hits[n] for n in (0, 1, 2, 4)]
    assert sum(row.attacked for row in table.rows) == 2 * 9
    assert not tally.balanced and not table.balanced
    assert table.means()[0] == pytest.approx(tally.mean())


TABLE = ClassTable(
    [
        ClassRow("cat", 4, 3, 2, (1, 0)),
        ClassRow("a, b", 5, 1, 0, (0, 0)),
        ClassRow("long " * 20, 4, 2, 4, (1, 1)),
        ClassRow("dog", 8, 4, 8, (2, 0)),
    ],
    "linf",
    (1 / 255, 0.5),
)


def test_a_table_has_a_line_a_class(tmp_path: Path) -> None:
    (tmp_path / "classes.csv").write_bytes(TABLE.csv())
    cat, unattacked, *_ = rows_of(tmp_path / "classes.csv")
    assert cat == {
        "class": "cat",
        "images": "4",
        "clean_top1": "75.0",
        "attacked": "2",
        f"linf_{1 / 255!r}": "50.0",
        "linf_0.5": "0.0",
    }
    assert unattacked["class"] == "a, b" and unattacked["linf_0.5"] == ""
    assert TABLE.means() == pytest.approx([(75 + 20 + 50 + 50) / 4, (50 + 25 + 25) / 3, 25 / 3])


def test_the_worst_classes_are_in_a_line() -> None:
    long = ("long " * 20)[:39] + "…"
    assert TABLE.worst() == (
        "worst of 3 classes (L∞ ε 1/255, and clean, in %):"
        f" {long} 25.0 and 50.0; 2 classes are at 25.0"
    )
    clean = ClassTable([ClassRow(f"c{n}", 10, n) for n in range(12)])
    assert clean.worst() == (
        "worst of 12 classes (clean, in %): c0 0.0, c1 10.0, c2 20.0, c3 30.0, c4 40.0"
    )
    assert ClassTable([ClassRow("alone", 10, 1)]).worst() == ""


def test_a_thousand_classes_take_little_room() -> None:
    rows = [ClassRow(f"n{n:08}", 50, n % 50, 50, (n % 7, n % 3)) for n in range(1000)]
    assert len(ClassTable(rows, "l2", (0.5, 1.0)).csv()) < 40_000


def test_pretraining_and_its_evaluation_leave_them(pretrain: Any, tmp_path: Path) -> None:
    outcome = pretrain("EVAL.ADVERSARIAL_IMAGES", 6)
    assert outcome.code == 0, outcome.err
    run = tmp_path / "run"
    record = json.loads((run / "record.json").read_text())
    rows = rows_of(run / "classes.csv")
    assert [row["class"] for row in rows] == ["blue", "green", "red"]
    assert [row["images"] for row in rows] == ["5", "5", "5"]
    assert sum(int(row["attacked"]) for row in rows) == 6
    total = sum(float(row["clean_top1"]) for row in rows) / 3
    assert record["metrics"]["clean_top1"] == pytest.approx(total, abs=1e-3)
    robust = sum(float(row["l2_0.25"] or 0) * int(row["attacked"]) for row in rows) / 6
    assert record["metrics"]["adversarial_top1"] == pytest.approx(robust, abs=1e-3)
    assert "mean_per_class" not in record["metrics"]  # which is the accuracy
    assert record["per_class"] == {
        "path": "classes.csv",
        "sha256": sha256_file(run / "classes.csv"),
    }
    assert "worst of 3 classes (L2 ε 0.25, and clean, in %): " in outcome.out
    assert rows_of(run / "classes_best.csv")[0]["class"] == "blue"
    assert (run / "examples.png").exists()
    again = pretrain("--eval-only", "EVAL.ADVERSARIAL_IMAGES", 6)
    assert again.code == 0 and "worst of 3 classes" in again.out
    assert (run / "eval/classes.csv").read_bytes() == (run / "classes.csv").read_bytes()
    record = json.loads((run / "eval/record.json").read_text())
    assert record["per_class"]["sha256"] == sha256_file(run / "classes.csv")


def test_the_mean_over_classes_is_said_where_these_differ_in_size(
    pretrain: Any, tmp_path: Path, image_tree: Path
) -> None:
    uneven = shutil.copytree(image_tree, tmp_path / "uneven")
    for path in sorted((uneven / "val/red").iterdir())[:3]:
        path.unlink()
    outcome = pretrain("DATA.ROOT", uneven, "TRAIN.EPOCHS", 1)
    assert outcome.code == 0, outcome.err
    rows = rows_of(tmp_path / "run/classes.csv")
    assert [row["images"] for row in rows] == ["5", "5", "2"]
    metrics = json.loads((tmp_path / "run/record.json").read_text())["metrics"]
    mean = sum(float(row["clean_top1"]) for row in rows) / 3
    assert metrics["mean_per_class"] == pytest.approx(mean, abs=1e-3)
    assert f"mean_per_class {mean:.2f}" in outcome.out.replace(":", "")
