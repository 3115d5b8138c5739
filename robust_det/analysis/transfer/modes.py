"""One backbone frozen and fine-tuned, clean and under attack."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import msgspec

from robust_det.analysis.estimates import Difference, Estimate, estimate, paired
from robust_det.analysis.transfer.grouping import Backbone, Row, Setting
from robust_det.analysis.transfer.runs import ADVERSARIAL_TOP1
from robust_det.records.pretrain import AttackEvaluator

__all__ = ["HOW_TO_READ_MODES", "Change", "Pair", "pairs_of"]

HOW_TO_READ_MODES = (
    "Frozen and fine-tuned figures are of the same backbones, and their differences are paired by"
    " backbone; the interval is over pretraining runs. Accuracy under attack is compared under the"
    " same attack alone."
)
_FROZEN = "fixed-feature"
_OF_FROZEN_ALONE = "PAPER.DRIFTING_NORMS"
_SAME_KEYS = ("DATA.IMAGE_SIZE", "DATA.RESIZE")


@dataclass(frozen=True)
class Change:
    """A figure before and after.

    Attributes:
        before, after, difference: over the backbones that have both.
        backbones: these, each with its two figures.
        attack: that the figure is under; None for clean accuracy.
    """

    before: Estimate
    after: Estimate
    difference: Difference
    backbones: tuple[tuple[Backbone, float, float], ...]
    attack: AttackEvaluator | None = None


@dataclass(frozen=True)
class Pair:
    """A setting of frozen backbones, and one in which the network was trained.

    Attributes:
        frozen, tuned: the settings.
        rows: of the frozen one, each with the change of the headline and those of the accuracy
            under each attack that both were measured by.
        note: why they should not be compared, if there is a reason; ``rows`` is empty then.
    """

    frozen: Setting
    tuned: Setting
    rows: tuple[tuple[Row, Change, tuple[Change, ...]], ...]
    note: str = ""

    @property
    def heading(self) -> str:
        """Set and modes."""
        one, two = self.frozen.conditions, self.tuned.conditions
        return f"{one.set_title}{one.images}: {one.how} and {two.how}"


def pairs_of(settings: Sequence[Setting]) -> list[Pair]:
    """Return the settings that have images and backbones in common and differ in their mode.

    Those that are not compared, for their quirks or sizes, are among them where a setting is
    compared with no other one.
    """
    frozen = [one for one in settings if one.conditions.mode == _FROZEN]
    tuned = [one for one in settings if one.conditions.mode != _FROZEN]
    pairs = []
    for first in frozen:
        for second in tuned:
            rows = tuple(_rows(first, second)) if _same_data(first, second) else ()
            if rows:
                note = _reason_against(first, second)
                pairs.append(Pair(first, second, () if note else rows, note))
    compared = {one.name for pair in pairs if pair.rows for one in (pair.frozen, pair.tuned)}
    return [
        pair for pair in pairs if pair.rows or not {pair.frozen.name, pair.tuned.name} <= compared
    ]


def _same_data(one: Setting, two: Setting) -> bool:
    # unreadable images are told of by each setting, and the test images have to be as many
    first, second = (msgspec.structs.replace(s.conditions.data, skipped=0) for s in (one, two))
    return first == second


def _reason_against(one: Setting, two: Setting) -> str:
    """Return why two modes are not compared; empty if they may be."""
    first, second = one.conditions, two.conditions
    quirks = [set(own.quirks) - {_OF_FROZEN_ALONE} for own in (first, second)]
    differs = sorted(quirks[0] ^ quirks[1])
    differs += [k for k in _SAME_KEYS if first.config.get(k) != second.config.get(k)]
    if not differs:
        return ""
    keys = ", ".join(differs)
    return f"{one.name} and {two.name} are not set side by side, as they differ in {keys}."


def _rows(frozen: Setting, tuned: Setting) -> Iterator[tuple[Row, Change, tuple[Change, ...]]]:
    headline = frozen.conditions.data.headline
    after = {one.sha256: one for row in tuned.rows for one in row.backbones}
    for row in frozen.rows:
        both = [(one, after[one.sha256]) for one in row.backbones if one.sha256 in after]
        clean = _change([(a, a.mean(headline), b.mean(headline)) for a, b in both], None)
        if clean is None:
            continue
        attacked = (
            _change(
                [
                    (a, a.mean_under(one, ADVERSARIAL_TOP1), b.mean_under(one, ADVERSARIAL_TOP1))
                    for a, b in both
                ],
                one,
            )
            for one in row.attacks
        )
        yield row, clean, tuple(change for change in attacked if change is not None)


def _change(
    figures: Sequence[tuple[Backbone, float, float]], attack: AttackEvaluator | None
) -> Change | None:
    """Return a change over the backbones with both figures; None if there are none."""
    both = tuple(one for one in figures if not (math.isnan(one[1]) or math.isnan(one[2])))
    if not both:
        return None
    return Change(
        estimate(before for _, before, _ in both),
        estimate(after for _, _, after in both),
        paired(after - before for _, before, after in both),
        both,
        attack,
    )
