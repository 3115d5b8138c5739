"""Means, sample deviations and differences, against numbers worked out by hand."""

from __future__ import annotations

import math

import pytest

from robust_det.analysis.summary import Summary, difference, summarise


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
    assert summarise([1.0, math.nan, 3.0]) == Summary(2, 2.0, math.sqrt(2))


def test_difference_of_independent_groups() -> None:
    found = difference(Summary(3, 40.0, 0.3), Summary(2, 38.5, 0.4))
    assert found.n == 2
    assert found.mean == pytest.approx(1.5)
    assert found.std == pytest.approx(0.5)
    assert math.isnan(difference(Summary(3, 40.0, 0.3), Summary(1, 38.5, math.nan)).std)
