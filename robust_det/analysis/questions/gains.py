"""How far robust backbones are above the standard one: at each eps, and at one that was chosen."""

from __future__ import annotations

import math
import statistics
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace

from robust_det.analysis.estimates import LEVEL, Difference, held_out, holm
from robust_det.analysis.questions.cells import Arm, Cell, Unit, difference_of, paired_units

__all__ = ["HOW_TO_READ_GAINS", "Chosen", "Gain", "Gains", "best_set", "choose", "gains_of"]

HOW_TO_READ_GAINS = (
    "The unit is the pretraining run, a backbone of other weights: of one backbone its fine-tuning"
    " seeds are averaged first. Differences are paired where records of pretraining say that seeds"
    " of two ε pair, else Welch's (1947); intervals are of 95%. p holds for all ε and subjects of a"
    " table at once (Holm 1979), and * marks p below 5%.",
    "The chosen ε is never chosen by the figure it is judged by: each pretraining run is left out"
    " once, the ε is chosen by the others (by their accuracy on validation images where all have"
    " one, else by their figures), and the run left out is measured there. The interval allows for"
    " the choices having runs in common (Nadeau & Bengio 2003). Of one pretraining run an ε there"
    " is no interval: validation images can choose then, but one backbone's luck is in both.",
)


@dataclass(frozen=True)
class Gain:
    """A robust arm less the standard one.

    Attributes:
        arm: the robust one.
        difference: p is corrected over the family.
        paired: whether pretraining seeds were paired.
        of_these: over fine-tuning seeds, of the two backbones at hand and no others; None where
            there are several pretraining runs.
    """

    arm: Arm
    difference: Difference
    paired: bool
    of_these: Difference | None = None

    @property
    def shown(self) -> int:
        """1 where it is shown to be above 0, -1 below; else 0."""
        return int(math.copysign(1, self.difference.value)) if self.difference.p < LEVEL else 0


@dataclass(frozen=True)
class Chosen:
    """The arm that a choice gives, less the standard one.

    Attributes:
        by: what chose: ``nested, by validation``, ``nested, by the other runs``, ``validation``;
            empty where nothing could.
        picks: how often each arm was chosen.
        difference: p is corrected over the family; all NaN where nothing could choose.
    """

    by: str
    picks: tuple[tuple[str, int], ...]
    difference: Difference

    @property
    def label(self) -> str:
        """``L2 ε 1 (2), L2 ε 3 (1)``."""
        if len(self.picks) == 1:
            return self.picks[0][0]
        return ", ".join(f"{label} ({number})" for label, number in self.picks)


@dataclass(frozen=True)
class Gains:
    """What is known of a cell.

    Attributes:
        cell: with a standard arm and a robust one.
        fixed: one a robust arm.
        chosen: see above.
    """

    cell: Cell
    fixed: tuple[Gain, ...]
    chosen: Chosen


_UNKNOWN = Difference(math.nan, math.nan, math.nan, math.nan)


def gains_of(cells: Sequence[Cell]) -> list[Gains]:
    """Return the gains of cells, with p-values that hold for all of a family.

    Args:
        cells: of any families; those without a standard arm or a robust one are left out.
    """
    raw = [_gains(cell) for cell in cells if cell.standard is not None and cell.robust]
    out = list(raw)
    for family in dict.fromkeys(one.cell.family for one in raw):
        places = [n for n, one in enumerate(raw) if one.cell.family == family]
        fixed = holm(
            {(n, i): gain.difference.p for n in places for i, gain in enumerate(raw[n].fixed)}
        )
        chosen = holm({n: raw[n].chosen.difference.p for n in places})
        for n in places:
            gains = tuple(
                replace(gain, difference=replace(gain.difference, p=fixed[n, i]))
                for i, gain in enumerate(raw[n].fixed)
            )
            difference = replace(raw[n].chosen.difference, p=chosen[n])
            out[n] = Gains(raw[n].cell, gains, replace(raw[n].chosen, difference=difference))
    return out


def _gains(cell: Cell) -> Gains:
    """Return gains whose p-values are as they are."""
    standard = cell.standard
    assert standard is not None  # only such cells are asked
    fixed = []
    for arm in cell.robust:
        difference, pairs = difference_of(arm, standard)
        single = len(arm.units) == len(standard.units) == 1
        seeds = difference_of(_by_seed(arm), _by_seed(standard))[0] if single else None
        fixed.append(Gain(arm, difference, pairs, seeds))
    return Gains(cell, tuple(fixed), choose(cell))


def _by_seed(arm: Arm) -> Arm:
    """Return an arm of one backbone with its fine-tuning seeds as the units."""
    units = tuple(Unit(unit.origin, (value,)) for unit in arm.units for value in unit.values)
    return Arm(arm.norm, arm.eps, units)


def choose(cell: Cell) -> Chosen:
    """Choose an eps without the figures that it is judged by, and return its gain.

    Args:
        cell: with a standard arm and a robust one.
    """
    standard, robust = cell.standard, cell.robust
    assert standard is not None and robust
    number = min(len(arm.units) for arm in cell.arms)
    validated = not any(math.isnan(unit.choice) for arm in robust for unit in arm.units)
    if number == 1:
        if not validated:
            return Chosen("", (), _UNKNOWN)
        best = max(robust, key=lambda arm: statistics.fmean(unit.choice for unit in arm.units))
        gap = best.figure.mean - standard.figure.mean
        return Chosen("validation", ((best.label, 1),), replace(_UNKNOWN, value=gap))
    rows = _aligned(robust, standard)
    picks, gaps = list[str](), list[float]()
    for left_out in range(number):
        others = [
            statistics.fmean(
                unit.choice if validated else unit.value
                for place, unit in enumerate(units)
                if place != left_out
            )
            for units in rows[1:]
        ]
        best_row = max(range(len(others)), key=others.__getitem__)
        picks.append(robust[best_row].label)
        gaps.append(rows[1 + best_row][left_out].value - rows[0][left_out].value)
    by = "nested, by validation" if validated else "nested, by the other runs"
    return Chosen(by, tuple(Counter(picks).most_common()), held_out(gaps))


def _aligned(robust: Sequence[Arm], standard: Arm) -> list[tuple[Unit, ...]]:
    """Return the units of the standard arm and of the robust ones, pairs at the same place."""
    order = {unit.pretraining: place for place, unit in enumerate(standard.units)}
    rows = [standard.units]
    for arm in robust:
        units = arm.units
        if paired_units(arm, standard):
            units = tuple(sorted(units, key=lambda unit: order[unit.pretraining]))
        rows.append(units)
    return rows


def best_set(cell: Cell, subjects: int = 1) -> tuple[Arm, ...] | None:
    """Return the arms of which any may be the best: at 95% the best one is among them.

    An arm is out where another one is above it by the one-sided test of their difference, at 5%
    divided by the number of the others (Bonferroni).

    Args:
        cell: with two arms or more.
        subjects: for how many cells that shall hold at once.

    Returns:
        None where an arm has no spread over pretraining runs, so that nothing is known.
    """
    alike = len(cell.arms) - 1
    gaps = {
        (one.eps, two.eps): difference_of(two, one)[0]
        for one in cell.arms
        for two in cell.arms
        if one is not two
    }
    if not gaps or any(math.isnan(gap.p) for gap in gaps.values()):
        return None
    return tuple(
        arm
        for arm in cell.arms
        if not any(
            gap.value > 0 and gap.p / 2 < LEVEL / (alike * subjects)
            for (below, _), gap in gaps.items()
            if below == arm.eps
        )
    )
