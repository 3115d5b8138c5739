"""Figures of transfers as people write them."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence

from robust_det.analysis.estimates import LEVEL, Difference, Estimate
from robust_det.analysis.tables import signed
from robust_det.core.epsilon import attack_label, eps_label
from robust_det.core.errors import counted
from robust_det.records.pretrain import AttackEvaluator

__all__ = [
    "NONE",
    "attack_labels",
    "attack_words",
    "difference_cell",
    "figure_cell",
    "p_cell",
    "range_cell",
]

NONE = "—"


def figure_cell(one: Estimate) -> str:
    """``62.3 [60.1, 64.5]``, or ``62.3`` without an interval; a dash if undefined.

    Ends beyond 0 and 100, as of few runs, are cut off there: no accuracy is.
    """
    if not one.n:
        return NONE
    ends = "" if math.isnan(one.low) else f" [{max(one.low, 0):.1f}, {min(one.high, 100):.1f}]"
    return f"{one.mean:.1f}{ends}"


def difference_cell(one: Difference | None, mark: bool = True) -> str:
    """``+2.1 [+0.3, +3.9]``, with a star where p is below 5%; a dash if there is none."""
    if one is None or math.isnan(one.value):
        return NONE
    ends = "" if math.isnan(one.low) else f" [{signed(one.low)}, {signed(one.high)}]"
    star = "*" if mark and one.p < LEVEL else ""
    return f"{signed(one.value)}{star}{ends}"


def p_cell(p: float) -> str:
    """``0.012`` or ``< 0.001``; a dash if undefined."""
    if math.isnan(p):
        return NONE
    return f"{p:.3f}" if p >= 0.001 else "< 0.001"


def range_cell(numbers: Sequence[int]) -> str:
    """``3``, or ``2 to 3``."""
    low, high = min(numbers), max(numbers)
    return str(low) if low == high else f"{low} to {high}"


def attack_labels(attacks: Sequence[AttackEvaluator]) -> dict[AttackEvaluator, str]:
    """Return ``L2 ε 1`` of each attack, with all that is known of it where two have the same."""
    short = {one: eps_label(one.norm, one.eps) for one in attacks}
    times = Counter(short.values())
    return {one: name if times[name] == 1 else attack_words(one) for one, name in short.items()}


def attack_words(one: AttackEvaluator) -> str:
    """All that is known of an attack."""
    starts = f", {counted(one.restarts, 'start')}" if one.restarts > 1 else ""
    return (
        f"{attack_label(one.name, one.steps, one.objective)}, {eps_label(one.norm, one.eps)}, steps"
        f" of {one.step_size:.3g}{starts}, {counted(one.images, 'image')}"
    )
