"""Statistics on simulated truth: intervals cover it, and identical backbones do not win."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from robust_det.analysis.questions.cells import Arm, Cell, Pretraining, Unit, difference_of
from robust_det.analysis.questions.gains import best_set, choose, gains_of

SIMULATIONS = 1000


def cell_of(
    values: NDArray[np.float64], choices: NDArray[np.float64] | None = None, pairs: bool = False
) -> Cell:
    """A cell of values (pretraining runs, arms), the first arm standard."""
    arms = [
        Arm(
            "l2" if place else "",
            float(place),
            tuple(
                Unit(
                    f"{place}-{run}",
                    (float(value),),
                    np.nan if choices is None else float(choices[run, place]),
                    Pretraining(run) if pairs else None,
                )
                for run, value in enumerate(column)
            ),
        )
        for place, column in enumerate(values.T)
    ]
    return Cell("set", "", "top-1", "fixed-feature", "how", "resnet18", "l2", tuple(arms))


@pytest.mark.parametrize("pairs", [False, True])
def test_intervals_cover_the_truth(pairs: bool) -> None:
    rng = np.random.default_rng(4)
    covered = 0
    for _ in range(SIMULATIONS):
        # a seed's luck is common to both eps, which pairs alone may use
        luck = rng.normal(0, 2.0 if pairs else 0.0, (5, 1))
        values = np.array([70.0, 71.5]) + luck + rng.normal(0, [1.0, 1.5], (5, 2))
        standard, robust = cell_of(values, pairs=pairs).arms
        gap, paired = difference_of(robust, standard)
        assert paired is pairs
        covered += gap.low <= 1.5 <= gap.high
    assert 0.93 <= covered / SIMULATIONS <= 0.97


@pytest.mark.parametrize(("runs", "validated"), [(3, True), (4, False)])
def test_the_best_of_nine_identical_backbones_does_not_win(runs: int, validated: bool) -> None:
    rng = np.random.default_rng(5)
    naive = wins = 0
    for _ in range(SIMULATIONS):
        # validation and test images see the same luck of a pretraining run
        luck = rng.normal(70, 1.0, (runs, 10))
        values, choices = (luck + rng.normal(0, 0.5, luck.shape) for _ in range(2))
        cell = cell_of(values, choices if validated else None)
        wins += choose(cell).difference.low > 0
        means = values.mean(axis=0)
        naive += means[1:].max() > means[0]
    assert wins / SIMULATIONS <= 0.05
    assert naive / SIMULATIONS > 0.85  # what picking on the test images makes of them


def test_no_fixed_eps_of_nine_identical_backbones_is_shown() -> None:
    rng = np.random.default_rng(6)
    number = 300
    wins = 0
    for _ in range(number):
        (found,) = gains_of([cell_of(rng.normal(70, 1.0, (4, 10)))])
        wins += any(gain.shown for gain in found.fixed)
    assert wins / number <= 0.05


def test_a_better_backbone_is_chosen_and_wins() -> None:
    rng = np.random.default_rng(7)
    truth = np.array([70.0, 70.0, 74.0, 71.0])
    found = choose(cell_of(truth + rng.normal(0, 0.5, (4, 4))))
    assert found.by == "nested, by the other runs"
    assert found.picks == (("L2 ε 2", 4),)
    assert found.difference.low > 0 and found.difference.low < 4.0 < found.difference.high


def test_the_best_eps_is_in_its_set() -> None:
    rng = np.random.default_rng(8)
    truth = np.array([70.0, 71.0, 72.0, 68.0])
    number = 200
    sets = [best_set(cell_of(truth + rng.normal(0, 1.0, (4, 4)))) for _ in range(number)]
    within = [found for found in sets if found is not None and 2.0 in {arm.eps for arm in found}]
    assert len(within) / number >= 0.95
    # of the worst it is mostly known that it is not
    assert sum(all(arm.eps != 3.0 for arm in found) for found in within) > number / 2


def test_one_pretraining_run_chooses_nothing_by_its_own_figure() -> None:
    values = np.array([[70.0, 75.0, 72.0]])
    assert choose(cell_of(values)).by == ""
    found = choose(cell_of(values, choices=np.array([[80.0, 81.0, 84.0]])))
    # by validation the second one, although the first is higher
    assert (found.by, found.picks) == ("validation", (("L2 ε 2", 1),))
    assert found.difference.value == pytest.approx(2.0) and np.isnan(found.difference.low)
