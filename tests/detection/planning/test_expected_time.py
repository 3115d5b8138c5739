"""How long a run is expected to take, from what its steps and images take."""

from __future__ import annotations

import pytest

from robust_det.detection.config import detection_defaults
from robust_det.detection.planning import expected_time as module
from robust_det.detection.planning.expected_time import ExpectedTime, expected_time


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        ((20, 40), "about 40 seconds"),
        ((400, 401), "about 7 minutes"),
        ((500, 700), "8 to 12 minutes"),
        ((3000, 9000), "50 minutes to 2.5 hours"),
    ],
)
def test_a_range_is_said_where_it_is_one(seconds: tuple[float, float], words: str) -> None:
    assert str(ExpectedTime(*seconds)) == words


@pytest.mark.parametrize(("period", "evaluations"), [(0, 1), (3, 4), (10, 1), (9, 2)])
def test_every_evaluation_counts(
    period: int, evaluations: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    cfg = detection_defaults()
    cfg.MODEL.DEVICE, cfg.MODEL.WEIGHTS, cfg.MODEL.BACKBONE.ARCH = "cpu", "", "resnet10_narrow"
    cfg.SOLVER.MAX_ITER, cfg.SOLVER.ACCUMULATE, cfg.TEST.EVAL_PERIOD = 10, 2, period
    monkeypatch.setattr(module.RobustTrainer, "build_model", lambda _: None)
    monkeypatch.setattr(module, "_training", lambda *_: (1.0, 2.0))
    monkeypatch.setattr(module, "_evaluation", lambda *_: (0.5, 1.0))
    found = expected_time(cfg, tested=6)
    assert found == ExpectedTime(20 + evaluations * 3, 40 + evaluations * 6)
