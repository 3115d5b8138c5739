"""Frozen backbones beside fine-tuned ones."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from scipy import stats

from robust_det.analysis.transfer.blocks import pair_block
from robust_det.analysis.transfer.findings import transfer_findings
from robust_det.analysis.transfer.grouping import Setting
from robust_det.analysis.transfer.modes import pairs_of
from tests.support.transfer_records import attack_of

Write = Callable[..., Path]
Settings = Callable[[], list[Setting]]
ATTACK = attack_of("l2", 1.0)
FROZEN, TUNED = [60.0, 64.0, 61.0], [72.0, 74.5, 75.0]
BEFORE, AFTER = [30.0, 33.0, 31.0], [5.0, 4.0, 7.0]


def put(write: Write) -> None:
    for number in range(3):
        one, two = FROZEN[number], TUNED[number]
        common = {"pretraining": number, "attack": ATTACK}
        # two seeds, whose mean is the backbone's figure
        for seed, off in enumerate((-1, 1)):
            write(1.0, one + off, seed=seed, adversarial=BEFORE[number] + off, **common)
        write(1.0, two, mode="full-network", adversarial=AFTER[number], **common)


def test_differences_are_paired_by_backbone(write: Write, settings: Settings) -> None:
    put(write)
    write(1.0, 90.0, mode="full-network", pretraining=9)  # never frozen: in no pair
    found = settings()
    (pair,) = pairs_of(found)
    ((row, clean, (robust,)),) = pair.rows
    assert row.eps == 1.0 and robust.attack == ATTACK
    for change, before, after in ((clean, FROZEN, TUNED), (robust, BEFORE, AFTER)):
        theirs = stats.ttest_rel(after, before)
        interval = theirs.confidence_interval()
        assert sorted(figures for _, *figures in change.backbones) == sorted(
            [a, b] for a, b in zip(before, after, strict=True)
        )
        assert change.difference.p == pytest.approx(theirs.pvalue)
        assert change.difference.low == pytest.approx(interval.low)
        assert change.difference.high == pytest.approx(interval.high)
    said = transfer_findings(found, (), [pair])[-1]
    assert said == (
        "full-network against fixed-feature (logreg) on DTD (T2, T1): +12.2 (1 of 1 interval"
        " without 0) top-1; −26.0 (1 of 1 interval without 0) top-1 under attack."
    )


def test_other_attacks_are_not_set_side_by_side(write: Write, settings: Settings) -> None:
    weak = attack_of("l2", 1.0, steps=1)
    write(1.0, 60.0, attack=ATTACK, adversarial=30.0)
    write(1.0, 70.0, attack=weak, adversarial=50.0, mode="full-network")
    (pair,) = pairs_of(settings())
    ((_, clean, robust),) = pair.rows
    assert clean.difference.value == 10.0 and robust == ()


def test_other_quirks_are_not_set_side_by_side_and_told(write: Write, settings: Settings) -> None:
    write(1.0, 60.0, quirks=["PAPER.DRIFTING_NORMS"], head="sgd")
    write(1.0, 70.0, mode="full-network", quirks=["PAPER.BEST_EPOCH"])
    (pair,) = pairs_of(settings())
    assert pair.rows == ()
    assert pair.note == "T1 and T2 are not set side by side, as they differ in PAPER.BEST_EPOCH."
    # a quirk that frozen networks alone have is no difference
    write(1.0, 71.0, mode="full-network")
    (pair,) = [pair for pair in pairs_of(settings()) if pair.rows]
    assert pair.rows[0][1].difference.value == 11.0


@pytest.mark.parametrize("data", [{"manifest": "cd" * 32}, {"test": 90}, {"downscale": 32}])
def test_other_images_are_no_pair(
    write: Write, settings: Settings, data: dict[str, object]
) -> None:
    write(1.0, 60.0)
    write(1.0, 70.0, mode="full-network", data=data)
    assert pairs_of(settings()) == []


def test_the_table_has_a_row_clean_and_one_under_attack(write: Write, settings: Settings) -> None:
    put(write)
    (pair,) = pairs_of(settings())
    block = pair_block(pair)
    assert block.title == "DTD: fixed-feature (logreg) and full-network (T1, T2)"
    assert [row[2] for row in block.rows] == ["top-1", "top-1, under L2 ε 1"]
    for row, before, after in zip(block.rows, (FROZEN, BEFORE), (TUNED, AFTER), strict=True):
        low, high = stats.t.interval(0.95, 2, np.mean(before), stats.sem(before))
        assert row[3] == f"{np.mean(before):.1f} [{low:.1f}, {high:.1f}]"
        gap = np.mean(after) - np.mean(before)
        assert row[5].replace("−", "-").startswith(f"{gap:+.1f} [") and row[6] == "3"
