"""Evaluation on the way is of the averaged weights, and training goes on as if it had not been."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from robust_det.core.seeding import seed_generators
from robust_det.detection.config import load_config
from robust_det.detection.finetuning.trainer import RobustTrainer
from robust_det.training.world import bare


def trained(write_config: Any, monkeypatch: pytest.MonkeyPatch, period: Any, average: Any) -> Any:
    """Train; return the trainer and, of each evaluation, the weights and the average then."""
    path = write_config(
        SOLVER={
            "MAX_ITER": 6,
            "STEPS": [5],
            "IMS_PER_BATCH": 2,
            "WARMUP_ITERS": 0,
            "EMA": {"ENABLED": average, "DECAY": 0.9},
        },
        TEST={"EVAL_PERIOD": period, "PICTURES": 0, "KEEP_BEST": "bbox/AP" if period else ""},
    )
    cfg, card = load_config(str(path))
    Path(cfg.OUTPUT_DIR).mkdir(exist_ok=True)
    seed_generators(cfg.SEED)
    trainer = RobustTrainer(cfg, card)
    evaluations = []

    def test(cfg: Any, model: Any, evaluators: Any = None) -> dict[Any, Any]:
        own = {name: value.clone() for name, value in bare(model).state_dict().items()}
        values = trainer.average.values if average else {}
        evaluations.append((trainer.iter, own, {n: v.clone() for n, v in values.items()}))
        return {"bbox": {"AP": float(len(evaluations))}}

    monkeypatch.setattr(RobustTrainer, "test", staticmethod(test))
    trainer.resume_or_load(resume=False)
    trainer.train()
    return trainer, evaluations


def test_evaluation_every_n_iterations_is_of_the_average(
    write_config: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    trainer, evaluations = trained(write_config, monkeypatch, period=2, average=True)
    assert [iteration for iteration, *_ in evaluations] == [1, 3, 6]  # the last when all is done
    for _, weights, average in evaluations:
        assert all(torch.equal(weights[name], value) for name, value in average.items())
    final = trainer.model.state_dict()
    assert any(not torch.equal(final[name], evaluations[-1][1][name]) for name in final)
    assert (Path(trainer.cfg.OUTPUT_DIR) / "model_best.pth").exists()

    # neither the evaluations nor the average change what is learnt
    plain, (last,) = trained(write_config, monkeypatch, period=0, average=False)
    assert last[0] == 6
    for name, value in plain.model.state_dict().items():
        assert torch.equal(final[name], value)
