"""Records of evaluations under attack in a comparison."""

from __future__ import annotations

import csv
import hashlib
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from robust_det.analysis.compare import compare
from robust_det.records import environment, write_record
from robust_det.records.base import File, Weights, as_json
from robust_det.records.robustness import (
    CheckFigure,
    CheckOutcome,
    Checks,
    EnsembleMember,
    EvaluatedImages,
    RobustAccuracy,
    RobustnessRecord,
)

MEMBERS = [
    EnsembleMember("pgd-ce", "PGD", "cross_entropy", 0, 12, 10),
    EnsembleMember("pgd-margin", "PGD", "margin", 0, 12, 10),
]
AT_HALF = RobustAccuracy(0.5, 0, {"pgd-ce": 300, "pgd-margin": 100}, 200, 20.0, 17.6, 22.6)
AT_ONE = RobustAccuracy(1.0, 400, {"pgd-ce": 150, "pgd-margin": 0}, 50, 5.0, 3.8, 6.5)


@pytest.fixture
def write(tmp_path: Path) -> Callable[..., Path]:
    def make(name: str, **changes: Any) -> Path:
        fields: dict[str, Any] = {
            "name": name,
            "arch": "resnet18",
            "norm": "l2",
            "eps": 0.5,
            "weights": Weights(f"{name}|.pth", hashlib.sha256(name.encode()).hexdigest()),
            "seed": 0,
            "raw_config": as_json({}),
            "environment": environment("cpu"),
            "wall_time_s": 60.0,
            "data": EvaluatedImages("data/val", 1000, 5000, "cd" * 32, 10, 224, 256),
            "metrics": {"clean_top1": 60.0, "clean_top5": 90.0},
            "correct": 600,
            "attack_norm": "l2",
            "budget": "quick",
            "budget_version": 1,
            "members": MEMBERS,
            "notes": [],
            "robust": [AT_HALF, AT_ONE],
            "not_finite": 0,
            "checks": None,
            "images": File("images.csv", "ef" * 32),
        }
        folder = tmp_path / "runs" / name
        write_record(folder, RobustnessRecord(**(fields | changes)))
        return folder

    return make


def test_records_of_one_attack_are_a_table_a_curve_each_and_a_file(
    write: Callable[..., Path], tmp_path: Path
) -> None:
    masked = CheckOutcome("noise is weaker", False, [CheckFigure("noise", 3.0)], "guessing")
    write("one", checks=Checks(0.5, 100, [masked]))
    write("two", eps=0.0, robust=[AT_HALF, AT_ONE])
    page, text = compare([tmp_path / "runs"], tmp_path / "report")
    head = "Robust accuracy 1: worst case of pgd-ce, pgd-margin, L2"
    assert f"{head}; 1,000 images of 5,000 (cdcdcdcd), 224 px" in text
    rows = [re.split("  +", line) for line in text.splitlines()]
    figures = ["60.0", "20.0 [17.6, 22.6]", "5.0 [3.8, 6.5]"]
    assert ["one", "one|.pth", "resnet18", "L2 ε 0.5", *figures] in rows
    assert ["two", "two|.pth", "resnet18", "standard", *figures] in rows
    assert "one: FAIL noise is weaker; guessing." in text
    assert "two: nothing was checked for masked gradients." in text
    table = csv.DictReader((tmp_path / "report/robustness.csv").read_text().splitlines())
    half, one, *others = list(table)
    assert (half["attack_eps"], half["top1"], half["fell_earlier"]) == ("0.5", "20.0", "0")
    assert (one["felled"], one["fell_earlier"]) == ("pgd-ce 150; pgd-margin 0", "400")
    assert len(others) == 2
    assert (tmp_path / "report/plots/robust_accuracy_1.png").read_bytes()[:4] == b"\x89PNG"
    html = page.read_text()
    assert "Accuracy of classifiers" in html and html.count("<figure>") == 1
    assert "one: 60.0 at ε 0, 20.0 at ε 0.5, 5.0 at ε 1; two" in html
    assert "one\\|.pth" in (tmp_path / "report/accuracy.md").read_text()


@pytest.mark.parametrize(
    "change",
    [
        {"budget": "standard", "members": [EnsembleMember("apgd-ce", "APGD", "dlr", 9, 102, 101)]},
        {"budget_version": 2},
        {"attack_norm": "linf"},
        {"robust": [AT_HALF]},
        {"data": EvaluatedImages("data/val", 1000, 5000, "dd" * 32, 10, 224, 256)},
        {"data": EvaluatedImages("data/val", 1000, 5000, "cd" * 32, 10, 32, 36)},
    ],
)
def test_other_attacks_and_images_are_tables_of_their_own(
    change: dict[str, Any], write: Callable[..., Path], tmp_path: Path
) -> None:
    if "budget" in change:
        felled = {"apgd-ce": 400}
        change = {**change, "robust": [RobustAccuracy(0.5, 0, felled, 200, 20.0, 17.6, 22.6)]}
    write("one")
    write("two", **change)
    _, text = compare([tmp_path / "runs"], tmp_path / "report")
    assert "Robust accuracy 1: " in text and "Robust accuracy 2: " in text
    assert (tmp_path / "report/plots/robust_accuracy_2.png").exists()


def test_attacks_that_came_to_cost_less_are_the_same(
    write: Callable[..., Path], tmp_path: Path
) -> None:
    write("one")
    write("two", members=[replace(each, backward=9) for each in MEMBERS])
    _, text = compare([tmp_path / "runs"], tmp_path / "report")
    assert "Robust accuracy 2: " not in text


def test_clean_figures_alone_have_no_plot(write: Callable[..., Path], tmp_path: Path) -> None:
    none: dict[str, Any] = {"attack_norm": "", "budget": "", "budget_version": 0, "members": []}
    write("one", **none, robust=[])
    page, text = compare([tmp_path / "runs"], tmp_path / "report")
    assert "Robust accuracy 1: no attack; 1,000 images" in text
    assert "checked for masked" not in text and "<figure>" not in page.read_text()
    assert not (tmp_path / "report/plots").exists()
