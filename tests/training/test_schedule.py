from __future__ import annotations

import math
from typing import Any

import pytest

from robust_det.classification.components import build_plan
from robust_det.classification.settings import pretrain_defaults
from robust_det.training.schedule import LearningRate


def rate(steps_per_epoch: int, epochs: int, **optim: Any) -> LearningRate:
    cfg = pretrain_defaults()
    cfg.TRAIN.EPOCHS = epochs
    cfg.OPTIM.update({"LR": 1.0, **optim})
    cfg.TRAIN.BATCH_SIZE = 2
    return build_plan(cfg, 2 * steps_per_epoch, processes=1).learning_rate


def test_step_drops_every_thirty_epochs() -> None:
    lr = rate(10, 90, SCHEDULE="step")
    at = [lr(s) for s in (0, 299, 300, 599, 600, 899)]
    assert at == pytest.approx([1, 1, 0.1, 0.1, 0.01, 0.01])


@pytest.mark.parametrize("epochs", [1, 30])
def test_step_without_a_drop(epochs: int) -> None:
    lr = rate(4, epochs, SCHEDULE="step")
    assert {lr(s) for s in range(4 * epochs)} == {1.0}


def test_step_after_a_warm_up() -> None:
    lr = rate(10, 90, SCHEDULE="step", WARMUP_EPOCHS=5.0)
    assert lr(0) == pytest.approx(0.5 / 50)
    assert lr(24) == pytest.approx(24.5 / 50)
    assert [lr(50), lr(299), lr(300), lr(600)] == pytest.approx([1, 1, 0.1, 0.01])


def test_multistep_drops_after_its_epochs() -> None:
    plain = rate(10, 90, SCHEDULE="multistep", MILESTONES=[60, 75, 85], GAMMA=0.2)
    at = [plain(s) for s in (0, 599, 600, 749, 750, 849, 850, 899)]
    assert at == pytest.approx([1, 1, 0.2, 0.2, 0.04, 0.04, 0.008, 0.008])
    warm = rate(10, 90, SCHEDULE="multistep", MILESTONES=[3, 60], WARMUP_EPOCHS=5.0)
    # up to what the schedule has at the end of the warm-up
    assert [warm(24), warm(50), warm(599), warm(600)] == pytest.approx([0.049, 0.1, 0.1, 0.01])
    # at equal distances it is the other one
    same = rate(4, 9, SCHEDULE="multistep", MILESTONES=[3, 6]), rate(4, 9, STEP_EPOCHS=3)
    assert [same[0](s) for s in range(36)] == [same[1](s) for s in range(36)]


def test_cosine() -> None:
    lr = rate(10, 10, SCHEDULE="cosine")
    for step in (0, 24, 50, 99):
        assert lr(step) == pytest.approx(0.5 * (1 + math.cos(math.pi * (step + 0.5) / 100)))


def test_cosine_after_a_warm_up() -> None:
    lr = rate(10, 10, SCHEDULE="cosine", WARMUP_EPOCHS=2.0)
    assert lr(9) == pytest.approx(9.5 / 20)
    for step in (20, 60, 99):
        where = (step + 0.5 - 20) / 80
        assert lr(step) == pytest.approx(0.5 * (1 + math.cos(math.pi * where)))


def test_onecycle_rises_from_a_tenth_and_falls_to_nothing() -> None:
    lr = rate(10, 4, SCHEDULE="onecycle", LR=0.2)
    assert lr(0) == pytest.approx(0.2 * (0.1 + 0.9 * 0.5 / 10))
    assert lr(9) == pytest.approx(0.2 * (0.1 + 0.9 * 9.5 / 10))
    assert lr(25) == pytest.approx(0.1 * (1 + math.cos(math.pi * 15.5 / 30)))
    assert max(range(40), key=lr) == 10
    assert lr(39) < 0.001
    longer = rate(10, 4, SCHEDULE="onecycle", WARMUP_EPOCHS=2.0)
    assert max(range(40), key=longer) in (19, 20)
