"""What the figures of transfers say, in sentences computed from them: which eps is the best?"""

from __future__ import annotations

import math
from collections.abc import Sequence

from robust_det.analysis.estimates import LEVEL, Difference
from robust_det.analysis.tables import signed
from robust_det.analysis.transfer.cells import difference_cell, figure_cell, p_cell
from robust_det.analysis.transfer.contests import Contest, Family
from robust_det.analysis.transfer.grouping import Setting
from robust_det.analysis.transfer.modes import Pair
from robust_det.core.errors import counted

__all__ = ["transfer_findings"]


def transfer_findings(
    settings: Sequence[Setting], families: Sequence[Family], pairs: Sequence[Pair]
) -> list[str]:
    """Return sentences, each of which starts with the answer.

    Args:
        settings: all of them.
        families, pairs: what was compared in these.
    """
    out = []
    for family in families:
        if len({one.setting.conditions.set_title for one in family.contests}) > 1:
            out.append(_across_sets(family))
        out += [_best(one) for one in family.contests]
    contested = {one.setting.name for family in families for one in family.contests}
    out += [
        f"No answer: {one.heading} is there at a single ε of each architecture and norm; add runs"
        " from backbones of another."
        for one in settings
        if one.name not in contested
    ]
    return [*out, *(_modes(pair) for pair in pairs if pair.rows)]


def _across_sets(family: Family) -> str:
    contests = family.contests
    highest: dict[str, list[str]] = {}
    for one in contests:
        highest.setdefault(one.best.eps_label, []).append(_set(one))
    means = "; ".join(f"{label} on {', '.join(sets)}" for label, sets in highest.items())
    shown = {one.best.eps_label for one in contests if one.shown}
    number = sum(one.shown for one in contests)
    if len(shown) > 1:
        answer, what = "Yes, on this data", "the best ε differs by set"
    elif shown and number == len(contests):
        answer, what = "No, on this data", "the best ε is the same on all sets"
    else:
        answer, what = "Not shown", "that the best ε differs by set"
        if all(math.isnan(one.p_best) for one in contests):
            answer, what = "Not known", "whether the best ε differs by set"
    return (
        f"{answer}: {what} ({family.how}). The highest means are of {means}; it is shown to be the"
        f" best on {number} of {len(contests)}."
    )


def _set(one: Contest) -> str:
    return f"{one.setting.conditions.set_title} ({one.setting.name})"


def _best(one: Contest) -> str:
    own, figure = one.setting.conditions, one.setting.figure(one.best)
    second, gap = one.second
    where = f"{_set(one)}, {own.how}{own.images}, {one.line.label}"
    if own.quirks:
        where += f", with {own.quirks_in_words}"
    if one.shown:
        answer, verb = "Yes, on this data", "is"
    else:
        answer, verb = "Not known" if math.isnan(one.p_best) else "Not shown", "may be"
    missing = f"; {_missing(one)}" if math.isnan(one.p_best) else ""
    gain = one.gain()
    if not one.shown and gain is not None and gain.value > 0 and gain.p < LEVEL:
        return (
            f"Yes, on this data: of {len(one.line.rows)} ε on {where}, {one.best.eps_label} has the"
            f" highest mean, {figure_cell(figure)} {own.headline}, and is above the standard"
            f" backbone: {_test(gain, gain.p)}. That it is the best of them is not shown:"
            f" {_test(gap, one.p_best)} to the next, {second.eps_label}."
        )
    return (
        f"{answer}: of {len(one.line.rows)} ε on {where}, {one.best.eps_label} has the highest mean"
        f" and {verb} the best: {figure_cell(figure)} {own.headline}, {_test(gap, one.p_best)} to"
        f" the next, {second.eps_label}{_against_standard(one)}{missing}."
    )


def _test(gap: Difference, p: float) -> str:
    """A difference and its p."""
    cell = difference_cell(gap, mark=False)
    return cell if math.isnan(p) else f"{cell} (p {p_cell(p)})"


def _missing(one: Contest) -> str:
    """Why there is no test."""
    rows = {row.eps_label: one.setting.figure(row) for row in one.line.rows}
    if single := [label for label, figure in rows.items() if figure.n == 1]:
        each = "each" if len(single) == len(rows) else f"of {', '.join(single)}"
        return f"1 pretraining run {each}: no interval"
    return "pretraining runs have the same accuracy to the last digit: no interval"


def _against_standard(one: Contest) -> str:
    if one.best is one.line.standard:
        return ""
    gain = one.gain()
    if gain is None:
        return "; there is no standard backbone to compare with"
    if one.second[0] is one.line.standard:
        return ""
    return f", {_test(gain, gain.p)} to the standard one"


def _modes(pair: Pair) -> str:
    clean = [change.difference for _, change, _ in pair.rows]
    attacked = [change.difference for _, _, under in pair.rows for change in under]
    one, two = pair.frozen.conditions, pair.tuned.conditions
    robust = f"; {_span(attacked)} top-1 under attack" if attacked else ""
    return (
        f"{two.how} against {one.how} on {one.set_title} ({pair.tuned.name}, {pair.frozen.name})"
        f"{one.images}: {_span(clean)} {one.headline}{robust}."
    )


def _span(differences: Sequence[Difference]) -> str:
    """How far differences go, and of how many backbone settings the interval leaves 0 out."""
    values = [one.value for one in differences]
    clear = sum(one.low > 0 or one.high < 0 for one in differences)
    low, high = signed(min(values)), signed(max(values))
    span = low if len(values) == 1 else f"{low} to {high}"
    return f"{span} ({clear} of {counted(len(values), 'interval')} without 0)"
