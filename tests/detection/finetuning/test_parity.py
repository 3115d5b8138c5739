"""With every acceleration off, training computes what Detectron2's own trainer computes."""

import itertools
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from detectron2.data import DatasetMapper, build_detection_train_loader
from detectron2.data.samplers import TrainingSampler
from detectron2.engine import DefaultTrainer, HookBase

from robust_det.core.seeding import seed_generators
from robust_det.detection.config import load_config
from robust_det.detection.finetuning.loop.hooks import SeedEachStep
from robust_det.detection.finetuning.trainer import RobustTrainer

STEPS = 20


class Losses(HookBase):
    """Keeps the losses of every step."""

    def __init__(self) -> None:
        self.steps: list[Any] = []

    def after_step(self) -> None:
        latest = self.trainer.storage.latest()
        self.steps.append({k: v[0] for k, v in latest.items() if "loss" in k})


@pytest.fixture
def cfg(write_config: Callable[..., Path]) -> Any:
    # the augmentation of both is fixed: their random numbers come from different places
    path = write_config(
        SOLVER={"MAX_ITER": STEPS, "STEPS": [15], "IMS_PER_BATCH": 2, "CHECKPOINT_PERIOD": 1000},
        INPUT={
            "MIN_SIZE_TRAIN": [96],
            "MAX_SIZE_TRAIN": 96,
            "MIN_SIZE_TEST": 96,
            "MAX_SIZE_TEST": 96,
            "RANDOM_FLIP": "none",
        },
        TEST={"PICTURES": 0, "EVAL_PERIOD": 0},
    )
    return load_config(str(path))[0]


class Stock(DefaultTrainer):
    @classmethod
    def build_train_loader(cls, cfg: Any) -> Any:
        # the same draws of images; ours come from the same sampler
        length = len(RobustTrainer.build_train_loader(cfg).dataset)
        loader = build_detection_train_loader(
            cfg, mapper=DatasetMapper(cfg, True), sampler=TrainingSampler(length, seed=Stock.seed)
        )
        # its start draws from the generator that the model draws from: here, not in the first step
        batches = iter(loader)
        return itertools.chain([next(batches)], batches)

    def build_hooks(self) -> list[Any]:
        return [hook for hook in super().build_hooks() if type(hook).__name__ == "LRScheduler"]


def run(trainer_class: Any, cfg: Any, **more: Any) -> Any:
    Path(cfg.OUTPUT_DIR).mkdir(parents=True, exist_ok=True)
    seed_generators(cfg.SEED)
    trainer = trainer_class(cfg, **more)
    losses = Losses()
    if trainer_class is RobustTrainer:
        Stock.seed = trainer.data_loader.plan.draws._seed
        trainer.resume_or_load(resume=False)
        trainer._hooks = [h for h in trainer._hooks if type(h).__name__ == "LRScheduler"]
    else:
        trainer.checkpointer.load(cfg.MODEL.WEIGHTS)
    trainer.register_hooks([SeedEachStep(cfg.SEED), losses])
    initial = {name: value.clone() for name, value in trainer.model.state_dict().items()}
    super(DefaultTrainer, trainer).train(0, STEPS)
    return losses.steps, initial, trainer.model.state_dict()


def test_the_first_20_losses_are_those_of_stock_detectron2(cfg: Any) -> None:
    ours, ours_before, ours_after = run(RobustTrainer, cfg)
    stock, stock_before, stock_after = run(Stock, cfg)
    for name, value in stock_before.items():
        torch.testing.assert_close(ours_before[name], value, rtol=0, atol=0)
    assert len(ours) == len(stock) == STEPS
    assert {"loss_cls", "loss_box_reg", "loss_mask", "loss_rpn_cls"} <= set(stock[0])
    for mine, theirs in zip(ours, stock, strict=True):
        for name, value in theirs.items():
            assert mine[name] == pytest.approx(value, abs=1e-5, rel=1e-5)
    assert ours[-1]["total_loss"] != pytest.approx(ours[0]["total_loss"], rel=1e-3)  # it learns
    for name, value in stock_after.items():
        torch.testing.assert_close(ours_after[name], value, rtol=1e-5, atol=1e-5)
