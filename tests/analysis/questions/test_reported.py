"""The questions on the shipped tables give back what can be counted in them."""

from __future__ import annotations

import csv
from collections.abc import Callable, Mapping
from functools import cache
from typing import Any

import pytest

from robust_det.analysis.questions import QUESTIONS
from robust_det.analysis.questions.answer import Answer
from robust_det.models.registry import get_architecture


@cache
def reported(name: str) -> Answer:
    of_reported: Callable[[], Answer] | None = QUESTIONS[name].of_reported
    assert of_reported is not None
    return of_reported()


def rows_of(answer: Answer, name: str) -> list[Mapping[str, Any]]:
    (text,) = (sheet.csv for sheet in answer.sheets if sheet.name == name)
    return list(csv.DictReader(text.splitlines()))


@pytest.mark.parametrize(
    ("name", "whole", "by_a_point", "small_by_a_point", "gap"),
    [("fixed-feature", 28, 17, 24, "−6.4"), ("full-network", 22, 5, 15, "−2.9")],
)
def test_the_highest_of_nine_eps(
    name: str, whole: int, by_a_point: int, small_by_a_point: int, gap: str
) -> None:
    large, small, fixed, shown = reported(name).findings
    assert f"in {whole} of 36, by more than a point in {by_a_point}." in large
    assert f"in 24 of 24, by more than a point in {small_by_a_point}." in small
    assert f"mean of 30 cells: {gap} points" in fixed
    # what the counts are worth stands beside them
    for sentence in (large, small):
        assert "no evidence" in sentence and "highest in 9 of 10" in sentence
    assert shown.startswith("Not shown")
    rows = rows_of(reported(name), f"{name}_reported")
    assert len(rows) == (36 + 24) * 10


def test_accuracy_on_imagenet_top1() -> None:
    rows = rows_of(reported("accuracy-vs-transfer"), "accuracy-vs-transfer_reported")
    found = {
        (row["subject"], row["backbones"]): float(row["r2"])
        for row in rows
        if row["backbones"].startswith("six")
    }
    for subject, (standard, robust) in {
        "CIFAR-10": (0.793, 0.976),
        "CIFAR-100": (0.820, 0.977),
    }.items():
        assert found[subject, "six architectures, standard"] == pytest.approx(standard, abs=5e-4)
        assert found[subject, "six architectures, L2 ε 3"] == pytest.approx(robust, abs=5e-4)
    sentence = reported("accuracy-vs-transfer").findings[0]
    assert "CIFAR-10: 0.793 at standard, 0.976 at L2 ε 3" in sentence


def test_granularity_has_the_counts_at_32_px() -> None:
    findings = " ".join(reported("granularity").findings)
    assert "fixed-feature, images shrunk to 32 px" in findings
    assert findings.count("in 24 of 24") == 2
    ranks = rows_of(reported("granularity"), "granularity_reported_ranks")
    assert len(ranks) == 2 * 9 * 12  # modes, eps, sets


def test_eps_counts_each_cell_once() -> None:
    rows = rows_of(reported("eps"), "eps_reported")
    whole = [row for row in rows if row["of"] == "10"]
    assert len(whole) == 72
    # the cells whose highest is robust are those that were counted above
    robust = [row for row in whole if float(row["highest_eps"]) > 0]
    assert len([row for row in robust if row["how"] == "fixed-feature"]) == 28
    assert len([row for row in robust if row["how"] == "full-network"]) == 22


def test_width_steps_are_differences_of_the_table() -> None:
    rows = rows_of(reported("width"), "width_reported")
    assert len(rows) == 2 * 2 * 3 * 12  # modes, steps, eps, sets
    for row in rows:
        gap = float(row["wider_mean"]) - float(row["narrower_mean"])
        assert float(row["difference"]) == pytest.approx(gap) and row["low"] == ""


def test_widths_are_those_of_the_architectures() -> None:
    from robust_det.analysis.questions.width import WIDTHS

    for arch, (family, width) in WIDTHS.items():
        layout = get_architecture(arch).layout
        plain = get_architecture(family.replace("-", "").lower()).layout
        assert layout is not None and plain is not None and layout.blocks == plain.blocks
        assert layout.inner_channels == width * plain.inner_channels


@pytest.mark.parametrize("name", [n for n, q in QUESTIONS.items() if q.of_reported is not None])
def test_nothing_reported_has_an_interval_over_pretraining(name: str) -> None:
    answer = reported(name)
    assert "one pretraining run" in answer.basis
    assert answer.figures and all(one.description for one in answer.figures)
