"""Which eps is said to be the best, and when."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np
import pytest
from scipy import stats

from robust_det.analysis.transfer.contests import Contest, families_of, lines_of
from robust_det.analysis.transfer.findings import transfer_findings
from robust_det.analysis.transfer.grouping import Setting

Write = Callable[..., Path]
Settings = Callable[[], list[Setting]]

CLEAR = {0.0: [50.0, 51.0, 49.5], 1.0: [60.0, 60.8, 59.9], 3.0: [55.0, 54.1, 55.6]}
OTHER = {0.0: [70.0, 70.7, 69.8], 1.0: [60.0, 60.8, 59.9], 3.0: [55.0, 54.1, 55.6]}
CLOSE = {0.0: [50.0, 51.0, 49.5], 1.0: [51.0, 50.1, 52.0], 3.0: [51.1, 49.9, 52.3]}


def put(write: Write, name: str, groups: Mapping[float, Sequence[float]]) -> None:
    for eps, values in groups.items():
        for pretraining, value in enumerate(values):
            write(eps, value, pretraining=pretraining, set=name)


def welch_p(one: Sequence[float], two: Sequence[float]) -> float:
    return float(stats.ttest_ind(one, two, equal_var=False).pvalue)


def sentences(found: list[Setting]) -> list[str]:
    return transfer_findings(found, families_of(found), ())


def test_p_values_hold_for_all_sets_at_once(write: Write, settings: Settings) -> None:
    groups = {"cars": CLEAR, "dtd": OTHER, "food": CLOSE}
    for name, values in groups.items():
        put(write, name, values)
    (family,) = families_of(settings())
    assert [one.best.eps for one in family.contests] == [1.0, 0.0, 3.0]

    raw = {(n, e): welch_p(v[e], v[0.0]) for n, v in groups.items() for e in (1.0, 3.0)}
    best = {
        n: max(welch_p(v[b], v[e]) for e in v if e != b)
        for (n, v), b in zip(groups.items(), (1.0, 0.0, 3.0), strict=True)
    }
    for corrected, p in ((_gains(family.contests), raw), (_best(family.contests), best)):
        # Holm's by its definition: no p below that of a smaller one, times how many are left
        ranked = sorted(p, key=lambda key: p[key])
        bounds = [min(1.0, (len(p) - rank) * p[key]) for rank, key in enumerate(ranked)]
        expected = dict(zip(ranked, np.maximum.accumulate(bounds), strict=True))
        assert corrected == pytest.approx(expected)


def _gains(contests: Sequence[Contest]) -> dict[tuple[str, float | None], float]:
    return {
        (one.setting.conditions.data.set, row.eps): gap.p
        for one in contests
        for row, gap in one.to_standard
    }


def _best(contests: Sequence[Contest]) -> dict[str, float]:
    return {one.setting.conditions.data.set: one.p_best for one in contests}


def test_the_best_is_said_to_differ_only_where_both_are_shown(
    write: Write, settings: Settings
) -> None:
    put(write, "cars", CLEAR)
    put(write, "food", CLOSE)
    first, cars, food = sentences(settings())
    assert first.startswith("Not shown: that the best ε differs by set (fixed-feature (logreg)")
    assert "L2 ε 1 on Stanford Cars (T1); L2 ε 3 on Food-101 (T2)" in first
    assert first.endswith("it is shown to be the best on 1 of 2.")
    assert cars.startswith("Yes, on this data: of 3 ε on Stanford Cars (T1)")
    gap = np.mean(CLEAR[1.0]) - np.mean(CLEAR[3.0])
    assert "L2 ε 1 has the highest mean and is the best: 60.2 [" in cars
    assert f"top-1, +{gap:.1f} [" in cars and "to the next, L2 ε 3" in cars
    assert food.startswith("Not shown: of 3 ε on Food-101 (T2)") and "may be the best" in food
    put(write, "dtd", OTHER)
    assert sentences(settings())[0].startswith("Yes, on this data: the best ε differs by set")


def test_the_same_best_on_all_sets_is_a_no(write: Write, settings: Settings) -> None:
    put(write, "cars", CLEAR)
    put(write, "dtd", CLEAR)
    said = sentences(settings())[0]
    assert said.startswith("No, on this data: the best ε is the same on all sets")


def test_one_pretraining_run_leaves_the_answer_open(write: Write, settings: Settings) -> None:
    put(write, "cars", {0.0: [50.0], 1.0: [60.0, 61.0]})
    (said,) = sentences(settings())
    assert said.startswith("Not known: of 2 ε on Stanford Cars (T1)")
    assert said.endswith("1 pretraining run of standard: no interval.")
    assert "+10.5 to the next, standard;" in said  # without an interval


def test_norms_are_lines_of_their_own_from_one_standard_backbone(
    write: Write, settings: Settings
) -> None:
    put(write, "cars", {0.0: [50.0, 51.0], 1.0: [60.0, 61.0]})
    write(1.0, 70.0, norm="linf", arch="resnet18", set="cars", pretraining=7)
    write(1.0, 70.0, arch="resnet50", set="cars")
    (setting,) = settings()
    lines = [(line.label, [row.eps for row in line.rows]) for line in lines_of(setting)]
    assert lines == [
        ("resnet18, L2", [0.0, 1.0]),
        ("resnet18, L∞", [0.0, 1.0]),
        ("resnet50, L2", [1.0]),
    ]


def test_a_single_eps_has_no_answer(write: Write, settings: Settings) -> None:
    write(1.0, 60.0)
    (said,) = sentences(settings())
    assert said.startswith("No answer: DTD, fixed-feature (logreg) is there at a single ε")


def test_a_gain_is_told_where_the_best_of_several_is_not(write: Write, settings: Settings) -> None:
    for eps, values in {
        0.0: (50, 50.4, 50.2),
        0.5: (60, 60.5, 61),
        1.0: (60.2, 60.1, 60.6),
    }.items():
        for pretraining, value in enumerate(values):
            write(eps, float(value), pretraining=pretraining)
    [said] = sentences(settings())
    gain = stats.ttest_ind([60, 60.5, 61], [50, 50.4, 50.2], equal_var=False)
    assert gain.pvalue * 2 < 0.05
    assert said.startswith("Yes, on this data: of 3 ε on DTD (T1)")
    assert "L2 ε 0.5 has the highest mean, 60.5 [59.3, 61.7] top-1" in said
    assert "is above the standard backbone: +10.3 [" in said
    assert "That it is the best of them is not shown: +0.2 [" in said
