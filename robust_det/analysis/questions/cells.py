"""What all questions are asked of: a figure of one subject by eps, one value a pretraining run."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

from robust_det.analysis.estimates import Difference, Estimate, estimate, paired, welch
from robust_det.core.epsilon import eps_label, norm_label

__all__ = ["Arm", "Cell", "Pretraining", "Unit", "difference_of", "mean_cell"]


@dataclass(frozen=True)
class Pretraining:
    """What two backbones of different eps have in common if they are a pair.

    Attributes:
        seed: of the pretraining.
        start: SHA-256 of the weights that it started from; empty for random ones.
    """

    seed: int
    start: str = ""


@dataclass(frozen=True)
class Unit:
    """One pretraining run: the unit that is counted.

    Attributes:
        origin: SHA-256 of what was trained; empty for a figure that was reported.
        values: in percent, one a fine-tuning seed, all of them defined; at least one.
        choice: mean accuracy in percent on the images that settings were chosen by; NaN where
            nothing was chosen, or was on test images.
        pretraining: as its record says; None where there is no record.
    """

    origin: str
    values: tuple[float, ...]
    choice: float = math.nan
    pretraining: Pretraining | None = None

    @cached_property
    def value(self) -> float:
        """The mean over fine-tuning seeds."""
        return statistics.fmean(self.values)


@dataclass(frozen=True)
class Arm:
    """The pretraining runs of one eps.

    Attributes:
        norm, eps: norm is empty at eps 0.
        units: at least one.
    """

    norm: str
    eps: float
    units: tuple[Unit, ...]

    @property
    def label(self) -> str:
        """``standard`` or ``L2 ε 1``."""
        return eps_label(self.norm or None, self.eps)

    @cached_property
    def figure(self) -> Estimate:
        """The mean over pretraining runs."""
        return estimate(unit.value for unit in self.units)


@dataclass(frozen=True)
class Cell:
    """A figure by eps, all else equal.

    Attributes:
        subject: the set, or the figure and the set, such as ``Box AP on bccd_test``.
        setting: name of the setting in tables, such as ``T1``; empty of reported figures.
        metric: what the values are, in words.
        mode: ``fixed-feature``, ``full-network`` or ``head-then-all``; detectors are fine-tuned.
        how: mode and head, what was done to the images, and whatever else makes a family.
        arch, norm: the norm is empty where eps 0 is all there is.
        arms: by eps, the standard one first where there is one.
        set: name of the set; empty of detection.
        classes: of it.
        downscale: short side in pixels that images were shrunk to first; 0: they were not.
    """

    subject: str
    setting: str
    metric: str
    mode: str
    how: str
    arch: str
    norm: str
    arms: tuple[Arm, ...]
    set: str = ""
    classes: int = 0
    downscale: int = 0

    @property
    def family(self) -> str:
        """What is corrected together: mode, head and images, architecture and norm."""
        return f"{self.how}, {self.arch}, {norm_label(self.norm) or 'standard'}"

    @property
    def name(self) -> str:
        """The subject, with its setting where it has one."""
        return f"{self.subject} ({self.setting})" if self.setting else self.subject

    @property
    def standard(self) -> Arm | None:
        """The arm of eps 0."""
        return next((arm for arm in self.arms if arm.eps == 0), None)

    @property
    def robust(self) -> tuple[Arm, ...]:
        """The other ones."""
        return tuple(arm for arm in self.arms if arm.eps)

    def arm(self, eps: float) -> Arm | None:
        """The arm of an eps, to within 1e-9."""
        return next((arm for arm in self.arms if math.isclose(arm.eps, eps, abs_tol=1e-9)), None)

    @property
    def runs(self) -> int:
        """How many fine-tuned runs it is of."""
        return sum(len(unit.values) for arm in self.arms for unit in arm.units)


def paired_units(arm: Arm, base: Arm) -> list[tuple[Unit, Unit]]:
    """Return the pairs of two arms; none where not every run of both is of one."""
    mine, theirs = ({unit.pretraining: unit for unit in one.units} for one in (arm, base))
    whole = len(mine) == len(arm.units) and len(theirs) == len(base.units)
    if not whole or None in mine or mine.keys() != theirs.keys():
        return []
    return [(mine[key], theirs[key]) for key in mine]


def difference_of(arm: Arm, base: Arm) -> tuple[Difference, bool]:
    """Return an arm less another, and whether it is paired.

    Paired (the t test for pairs) where records of pretraining say that each run of one eps has its
    seed and start in the other; else Welch 1947.
    """
    pairs = paired_units(arm, base)
    if len(pairs) > 1:
        return paired(one.value - two.value for one, two in pairs), True
    return welch(arm.figure, base.figure), False


def mean_cell(cells: Sequence[Cell]) -> Cell | None:
    """Return the mean over subjects, of those pretraining runs that all of them have.

    Args:
        cells: of one family; each subject counts the same.

    Returns:
        None of a single subject, and where no eps has a run that all of them have.
    """
    if len({cell.subject for cell in cells}) < 2 or len({cell.name for cell in cells}) != len(
        cells
    ):
        return None
    arms = []
    for arm in cells[0].arms:
        alike = [other for cell in cells if (other := cell.arm(arm.eps)) is not None]
        if len(alike) < len(cells):
            continue
        by_origin = [{unit.origin: unit for unit in other.units} for other in alike]
        units = tuple(
            Unit(
                unit.origin,
                (statistics.fmean(one[unit.origin].value for one in by_origin),),
                statistics.fmean(one[unit.origin].choice for one in by_origin),
                unit.pretraining,
            )
            for unit in arm.units
            if unit.origin and all(unit.origin in one for one in by_origin)
        )
        if units:
            arms.append(Arm(arm.norm, arm.eps, units))
    if len(arms) < 2:
        return None
    first = cells[0]
    metrics = list(dict.fromkeys(cell.metric for cell in cells))
    return Cell(
        f"mean of {len(cells)} sets",
        "",
        " and ".join(metrics),
        first.mode,
        first.how,
        first.arch,
        first.norm,
        tuple(arms),
        downscale=first.downscale,
    )
