"""Means, differences and corrections against those of SciPy."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats

from robust_det.analysis.estimates import estimate, holm, paired, welch

FIRST, SECOND = [61.2, 63.9, 62.5], [58.0, 59.5, 57.1, 58.8]


def test_an_interval_is_that_of_the_t_distribution() -> None:
    found = estimate([*FIRST, math.nan])
    low, high = stats.t.interval(0.95, 2, np.mean(FIRST), stats.sem(FIRST))
    assert found.n == 3 and found.mean == pytest.approx(np.mean(FIRST))
    assert found.std == pytest.approx(np.std(FIRST, ddof=1))
    assert [found.low, found.high] == pytest.approx([low, high])


def test_a_difference_of_groups_is_welchs() -> None:
    found = welch(estimate(FIRST), estimate(SECOND))
    theirs = stats.ttest_ind(FIRST, SECOND, equal_var=False)
    interval = theirs.confidence_interval()
    assert found.value == pytest.approx(np.mean(FIRST) - np.mean(SECOND))
    assert found.p == pytest.approx(theirs.pvalue)
    assert [found.low, found.high] == pytest.approx([interval.low, interval.high])
    # of a group without spread the other one's is all there is, with its degrees of freedom
    one = welch(estimate(FIRST), estimate([60.0, 60.0]))
    assert one.p == pytest.approx(stats.ttest_1samp(FIRST, 60.0).pvalue)


def test_a_difference_of_pairs_is_that_of_the_paired_t_test() -> None:
    after = [70.1, 71.9, 70.0]
    found = paired(b - a for a, b in zip(FIRST, after, strict=True))
    theirs = stats.ttest_rel(after, FIRST)
    interval = theirs.confidence_interval()
    assert found.p == pytest.approx(theirs.pvalue)
    assert [found.low, found.high] == pytest.approx([interval.low, interval.high])


def test_one_value_and_values_without_spread_have_no_interval() -> None:
    one, alike = estimate([60.0]), estimate([61.0, 61.0])
    for found in (one, alike, paired([2.0]), paired([0.3 - 0.1, 0.2]), welch(one, estimate(FIRST))):
        assert math.isnan(found.low) and math.isnan(found.high)
    gap = welch(alike, estimate([60.5, 60.5]))
    assert gap.value == 0.5 and math.isnan(gap.p)
    assert math.isnan(estimate([]).mean)


def test_holms_correction_by_its_definition() -> None:
    # sorted: 0.01 * 4, 0.02 * 3, 0.03 * 2 (below the one before), 0.9
    given = {"a": 0.03, "b": 0.01, "c": 0.9, "d": 0.02, "e": math.nan}
    found = holm(given)
    assert math.isnan(found.pop("e"))
    assert found == pytest.approx({"b": 0.04, "d": 0.06, "a": 0.06, "c": 0.9})
    assert holm({"x": 0.7, "y": 0.6}) == {"y": 1.0, "x": 1.0}
