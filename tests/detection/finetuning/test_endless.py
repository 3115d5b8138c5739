"""Schedules that are longer than anybody means."""

import logging
from types import SimpleNamespace
from typing import Any

import pytest

from robust_det.detection.config import detection_defaults
from robust_det.detection.finetuning.loop import endless
from robust_det.detection.finetuning.loop.endless import ScheduleHook


def said(
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    images: int,
    iterations: int,
    step: float,
    drop: float = 0.75,
) -> list[tuple[int, str]]:
    """Return what is said of a run whose steps take so many seconds: after how many, and what."""
    cfg = detection_defaults()
    cfg.MODEL.DEVICE, cfg.SOLVER.IMS_PER_BATCH, cfg.SOLVER.MAX_ITER = "cpu", 16, iterations
    cfg.SOLVER.STEPS = (round(drop * iterations),)
    now = [0.0]
    monkeypatch.setattr(endless.time, "perf_counter", lambda: now[0])
    logging.getLogger("robust_det").propagate = True
    hook: Any = ScheduleHook(cfg, images)
    hook.trainer = trainer = SimpleNamespace(iter=0, max_iter=iterations)
    lines = []
    with caplog.at_level(logging.INFO, "robust_det"):
        hook.before_train()
        for done in range(26):
            lines += [(done, record.getMessage()) for record in caplog.records]
            caplog.clear()
            trainer.iter = done
            now[0] += step if done else 100 * step  # the first one plans
            hook.after_step()
    return lines


def test_an_own_set_under_cocos_schedule(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    (first, epochs), (second, measured) = said(monkeypatch, caplog, 64, 40_000, 92.0)
    assert (first, second) == (0, 20)
    assert "is 10,000 epochs of 64 images" in epochs and "SOLVER.MAX_ITER" in epochs
    # 40,000 steps of 92 s are 1,022 hours
    assert "take 43 days at 92 s each" in measured and "\n" not in measured


def test_few_epochs_that_take_days(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    [(after, line)] = said(monkeypatch, caplog, 118_287, 90_000, 10.0)
    assert after == 20 and "is 12 epochs" in line and "take 10 days" in line


def test_a_sane_run_says_what_is_left(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    [(after, line)] = said(monkeypatch, caplog, 160, 620, 0.5)
    assert (after, line) == (20, "0.5 s an iteration: about 5 minutes of training left")


def test_a_rate_that_falls_long_before_the_end(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    lines = said(monkeypatch, caplog, 1600, 1000, 0.5, drop=0.1)
    assert [after for after, _ in lines] == [0, 20]
    assert lines[0][1] == (
        "the learning rate falls for the last time after 100 of 1000 iterations"
        " (SOLVER.STEPS [100]); usual are [700, 900]"
    )
