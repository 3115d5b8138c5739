"""Which eps is the best on each set, and how sure that is."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from robust_det.analysis.estimates import LEVEL, Difference, holm, welch
from robust_det.analysis.transfer.grouping import Row, Setting
from robust_det.core.epsilon import norm_label

__all__ = ["HOW_TO_READ_CONTESTS", "Contest", "Family", "Line", "families_of", "lines_of"]

HOW_TO_READ_CONTESTS = (
    "Differences between ε are those of Welch 1947, unpaired: pretraining seeds of two ε share a"
    " number and no more. p is two-sided and holds for all sets of a table at once (Holm 1979): of"
    " Δ to the standard backbone over every robust ε of every set, so that the highest may be"
    " picked after looking. The highest mean is shown to be the best where it is above each other ε"
    " at 5%, over the sets; that it was picked does not matter then (Hung & Fithian 2019). * marks"
    " what is shown."
)


@dataclass(frozen=True)
class Line:
    """The rows of one architecture and norm in a setting, from eps 0 on.

    Attributes:
        arch, norm: the norm is empty where eps 0 is all there is.
        rows: by eps; those of an unknown eps are not among them.
    """

    arch: str
    norm: str
    rows: tuple[Row, ...]

    @property
    def label(self) -> str:
        """``resnet18, L2``."""
        return f"{self.arch}, {norm_label(self.norm) or 'standard'}"

    @property
    def standard(self) -> Row | None:
        """The row of eps 0."""
        return next((row for row in self.rows if row.eps == 0), None)


def lines_of(setting: Setting) -> list[Line]:
    """Return the rows with a figure, by architecture and norm; eps 0 is in each norm's line."""
    rows = [row for row in setting.rows if row.eps is not None and setting.figure(row).n]
    out = []
    for arch in dict.fromkeys(row.arch for row in rows):
        of_arch = [row for row in rows if row.arch == arch]
        standard = [row for row in of_arch if row.eps == 0]
        norms = dict.fromkeys(row.norm for row in of_arch if row.eps)
        for norm in norms or [None]:
            own = [row for row in of_arch if row.eps and row.norm == norm]
            out.append(Line(arch, norm or "", (*standard, *own)))
    return out


@dataclass(frozen=True)
class Contest:
    """The eps of one line in one setting.

    Attributes:
        setting, line: with two rows or more.
        best: the row with the highest mean.
        to_standard: each robust row less the standard one; empty without one. p is corrected.
        to_others: the best row less each other one. p is as it is.
        p_best: that the best is no better than some other, corrected; NaN if not known.
    """

    setting: Setting
    line: Line
    best: Row
    to_standard: tuple[tuple[Row, Difference], ...]
    to_others: tuple[tuple[Row, Difference], ...]
    p_best: float

    @property
    def second(self) -> tuple[Row, Difference]:
        """The row with the second-highest mean, and how far the best is above it."""
        return min(self.to_others, key=lambda pair: pair[1].value)

    @property
    def shown(self) -> bool:
        """Whether the best one is shown to be."""
        return self.p_best < LEVEL

    def gain(self) -> Difference | None:
        """The best row less the standard one; None if it is that, or if there is none."""
        return next((found for row, found in self.to_standard if row is self.best), None)


@dataclass(frozen=True)
class Family:
    """The contests of one mode, architecture and norm: one a set.

    Attributes:
        how: mode, head, what was done to the images, and the line, in words.
        contests: at least one.
    """

    how: str
    contests: tuple[Contest, ...]


def families_of(settings: Sequence[Setting]) -> list[Family]:
    """Return the contests between eps, with p-values that hold for all sets of a family.

    Args:
        settings: whose lines of a single eps have none.
    """
    grouped: dict[tuple[str, str], list[tuple[Setting, Line]]] = {}
    for setting in settings:
        for line in lines_of(setting):
            if len(line.rows) > 1:
                own = setting.conditions
                quirks = f", {own.quirks_in_words}" if own.quirks else ""
                how = f"{own.how}{own.images}{quirks}"
                grouped.setdefault((how, line.label), []).append((setting, line))
    return [
        Family(f"{how}, {label}", tuple(_contests(pairs)))
        for (how, label), pairs in grouped.items()
    ]


def _contests(pairs: Sequence[tuple[Setting, Line]]) -> list[Contest]:
    raw = [_contest(setting, line) for setting, line in pairs]
    best = holm({number: one.p_best for number, one in enumerate(raw)})
    gains = holm(
        {
            (number, index): found.p
            for number, one in enumerate(raw)
            for index, (_, found) in enumerate(one.to_standard)
        }
    )
    return [
        Contest(
            one.setting,
            one.line,
            one.best,
            tuple(
                (row, Difference(found.value, found.low, found.high, gains[number, index]))
                for index, (row, found) in enumerate(one.to_standard)
            ),
            one.to_others,
            best[number],
        )
        for number, one in enumerate(raw)
    ]


def _contest(setting: Setting, line: Line) -> Contest:
    """Return a contest whose p-values are as they are."""

    def gap(row: Row, other: Row) -> Difference:
        return welch(setting.figure(row), setting.figure(other))

    best = max(line.rows, key=lambda row: setting.figure(row).mean)
    others = tuple((row, gap(best, row)) for row in line.rows if row is not best)
    standard = line.standard
    robust = [row for row in line.rows if row is not standard] if standard else []
    to_standard = tuple((row, gap(row, standard)) for row in robust if standard is not None)
    ps = [found.p for _, found in others]
    # the best is above all others if it is above the one for which that is least sure
    p_best = math.nan if any(map(math.isnan, ps)) else max(ps)
    return Contest(setting, line, best, to_standard, others, p_best)
