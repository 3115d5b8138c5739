"""model_best.pth is the best of all evaluations, and what it is chosen by will be there."""

import contextlib
import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

from robust_det.checkpoints.io import load_checkpoint
from robust_det.core.errors import UserError
from robust_det.core.seeding import seed_generators
from robust_det.detection.config import load_config
from robust_det.detection.finetuning.trainer import RobustTrainer


class Killed(BaseException):
    """What comes without leaving time for anything."""


def config_of(write_config: Callable[..., Path]) -> Path:
    solver = {"MAX_ITER": 6, "STEPS": [], "IMS_PER_BATCH": 2, "CHECKPOINT_PERIOD": 2}
    return write_config(
        SOLVER=solver, TEST={"EVAL_PERIOD": 2, "PICTURES": 0, "KEEP_BEST": "bbox/AP"}
    )


def session(
    config: Path, figures: list[float | None], monkeypatch: pytest.MonkeyPatch, resume: bool = False
) -> list[int]:
    """Train with evaluations of these figures, of which None is a kill; return their steps."""
    cfg, card = load_config(str(config))
    Path(cfg.OUTPUT_DIR).mkdir(exist_ok=True)
    seed_generators(cfg.SEED)
    trainer = RobustTrainer(cfg, card)
    given: Iterator[float | None] = iter(figures)
    steps = []

    def test(*_: Any) -> dict[str, Any]:
        steps.append(min(trainer.iter + 1, trainer.max_iter))
        figure = next(given)
        if figure is None:
            raise Killed
        return {"bbox": {"AP": figure}}

    monkeypatch.setattr(RobustTrainer, "test", staticmethod(test))
    trainer.resume_or_load(resume=resume)
    with contextlib.suppress(Killed):
        trainer.train()
    return steps


def best_in(config: Path) -> tuple[int, float]:
    cfg, _ = load_config(str(config))
    best = load_checkpoint(Path(cfg.OUTPUT_DIR) / "model_best.pth")
    return best["iteration"] + 1, best["best"]["value"]


def test_the_last_evaluation_counts(
    write_config: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    config = config_of(write_config)
    assert session(config, [3.0, float("nan"), 9.0], monkeypatch) == [2, 4, 6]
    assert best_in(config) == (6, 9.0)
    cfg, _ = load_config(str(config))
    best, final = (
        load_checkpoint(Path(cfg.OUTPUT_DIR) / name)["model"]
        for name in ("model_best.pth", "model_final.pth")
    )
    assert all(torch.equal(best[name], final[name]) for name in final)


def test_of_equal_ones_the_first_is_kept(
    write_config: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    config = config_of(write_config)
    session(config, [4.0, 4.0, 4.0], monkeypatch)
    assert best_in(config) == (2, 4.0)


def test_a_kill_forgets_no_evaluation(
    write_config: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    config = config_of(write_config)
    assert session(config, [8.0, None], monkeypatch) == [2, 4]
    # the checkpoint of step 4 is from before its evaluation, which is done again
    assert session(config, [5.0, 7.0], monkeypatch, resume=True) == [4, 6]
    assert best_in(config) == (2, 8.0)
    cfg, _ = load_config(str(config))
    lines = map(json.loads, (Path(cfg.OUTPUT_DIR) / "metrics.json").read_text().splitlines())
    figures = [(line["iteration"], line["bbox/AP"]) for line in lines if "bbox/AP" in line]
    assert figures[-2:] == [(3, 5.0), (6, 7.0)]


def test_an_evaluation_after_the_last_checkpoint_counts(
    write_config: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    config = config_of(write_config)
    content = config.read_text().replace("CHECKPOINT_PERIOD: 2", "CHECKPOINT_PERIOD: 3")
    config.write_text(content)
    assert session(config, [1.0, 8.0, None], monkeypatch) == [2, 4, 6]
    session(config, [2.0], monkeypatch, resume=True)
    assert best_in(config) == (4, 8.0)


def test_a_best_that_never_was_is_said(
    write_config: Callable[..., Path],
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    nan = float("nan")
    session(config_of(write_config), [nan, nan, nan], monkeypatch)
    assert "bbox/AP was never a number: there is no model_best.pth" in caplog.text


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (["TEST.KEEP_BEST", "bbox/ap"], "did you mean 'bbox/AP'?"),
        (["TEST.KEEP_BEST", "segm/AP", "MODEL.MASK_ON", "False"], "is none of the figures"),
        (["TEST.KEEP_BEST", "AP"], "is none of the figures"),
        (["TEST.KEEP_BEST", "bbox/AP", "TEST.EVAL_PERIOD", "0"], "TEST.EVAL_PERIOD 0 does none"),
    ],
)
def test_what_will_not_be_there_is_refused(
    overrides: list[str], message: str, write_config: Callable[..., Path]
) -> None:
    with pytest.raises(UserError, match=re.escape(message)):
        load_config(str(config_of(write_config)), overrides)
