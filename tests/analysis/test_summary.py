"""Means, sample deviations and differences, against numbers worked out by hand."""

from __future__ import annotations

import math

import pytest

from robust_det.analysis.summary import Summary, difference, summarise
from robust_det.analysis.tables import format_delta, format_mean


def test_mean_and_sample_deviation() -> None:
    found = summarise([2.0, 4.0, 9.0])
    assert found.n == 3
    assert found.mean == pytest.approx(5.0)
    assert found.std == pytest.approx(math.sqrt((9 + 1 + 16) / 2))


def test_one_value_has_no_spread_and_none_has_no_mean() -> None:
    one, none = summarise([7.5]), summarise([math.nan])
    assert (one.n, one.mean) == (1, 7.5)
    assert math.isnan(one.std)
    assert none.n == 0
    assert math.isnan(none.mean)


def test_undefined_values_do_not_count() -> None:
    found = summarise([1.0, math.nan, 3.0])
    assert (found.n, found.mean, found.low, found.high) == (2, 2.0, 1.0, 3.0)


def test_two_values_have_a_range_and_no_deviation() -> None:
    two, three = summarise([40.0, 41.0]), summarise([40.0, 41.0, 42.0])
    assert math.isnan(two.std) and three.std == 1.0
    assert format_mean(two) == "40.5 (40.0 to 41.0)"
    assert format_mean(three) == "41.0 ± 1.0"
    assert format_mean(summarise([40.0])) == "40.0"
    gap = difference(two, summarise([39.0, 40.5]))
    assert (gap.low, gap.high) == (-0.5, 2.0)
    assert format_delta(gap) == "+0.8 (−0.5 to +2.0)"
    # of the standard backbone a single run: the others lie around it
    assert format_delta(difference(three, summarise([41.5]))) == "−0.5 (−1.5 to +0.5)"
    assert format_delta(difference(summarise([40.0]), summarise([41.5]))) == "−1.5"


def test_difference_of_independent_groups() -> None:
    found = difference(Summary(3, 40.0, 0.3, 39.7, 40.3), Summary(4, 38.5, 0.4, 38.0, 39.0))
    assert found.n == 3
    assert found.mean == pytest.approx(1.5)
    assert found.std == pytest.approx(0.5)
    one = Summary(1, 38.5, math.nan, 38.5, 38.5)
    assert math.isnan(difference(Summary(3, 40.0, 0.3, 39.7, 40.3), one).std)
