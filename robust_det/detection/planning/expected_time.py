"""How long a run will take, from a few steps of its own network on its own images."""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from detectron2.config import CfgNode
from detectron2.data import build_detection_test_loader
from detectron2.utils.events import EventStorage

from robust_det.core.device import autocast
from robust_det.core.progress import duration
from robust_det.detection.evaluation.augmented import with_test_time_augmentation
from robust_det.detection.finetuning.switches import precision
from robust_det.detection.finetuning.trainer import RobustTrainer
from robust_det.detection.mapping.mapper import EvaluationMapper

__all__ = ["ExpectedTime", "expected_time"]

_STEPS, _ENOUGH = 6, 10.0  # at most so many, and no other one after so many seconds


@dataclass(frozen=True)
class ExpectedTime:
    """Seconds of a run, as long as each step takes what the quickest and the slowest tried took."""

    least: float
    most: float

    def __str__(self) -> str:
        least, most = duration(self.least).split(), duration(self.most).split()
        if least == most or self.most < 60:
            return f"about {' '.join(most)}"
        return " ".join((*(least[:1] if least[1] == most[1] else least), "to", *most))


def expected_time(cfg: CfgNode, tested: int, processes: int = 1) -> ExpectedTime:
    """Measure how long a run takes, its evaluations included.

    A network of the config, with weights of chance that stay as they are, does a few steps of
    training and of evaluation on images of the data.

    Args:
        cfg: a complete config.
        tested: images of the test set.
        processes: that share a batch.

    Raises:
        UserError: an image cannot be read.
    """
    solver, period = cfg.SOLVER, cfg.TEST.EVAL_PERIOD
    alone = cfg.clone()
    alone.defrost()
    alone.DATALOADER.NUM_WORKERS = 0
    alone.SOLVER.IMS_PER_BATCH = max(1, solver.IMS_PER_BATCH // processes)
    with torch.random.fork_rng(enabled=True), EventStorage():
        model = RobustTrainer.build_model(alone)
        trained, evaluated = _training(cfg, alone, model), _evaluation(alone, model)
        del model
    if cfg.MODEL.DEVICE.startswith("cuda"):
        torch.cuda.empty_cache()
    evaluations = 1 + ((solver.MAX_ITER - 1) // period if period > 0 else 0)
    steps, images = solver.MAX_ITER * solver.ACCUMULATE, evaluations * tested / processes
    least, most = (steps * t + images * e for t, e in zip(trained, evaluated, strict=True))
    return ExpectedTime(least, most)


def _training(cfg: CfgNode, alone: CfgNode, model: Any) -> tuple[float, float]:
    """Return the seconds of the quickest and the slowest step."""
    device = torch.device(cfg.MODEL.DEVICE)
    optimizer = RobustTrainer.build_optimizer(alone, model)
    for group in optimizer.param_groups:
        group["lr"] = 0.0  # without a warm-up the network would diverge
    batches = iter(RobustTrainer.build_train_loader(alone))
    model.train()

    def step(batch: Any) -> None:
        with autocast(device, precision(cfg)):
            losses = model(batch)
        sum(losses.values()).backward()
        optimizer.step()
        optimizer.zero_grad()

    loading, computing = _times(lambda: next(batches), step, device)
    workers = cfg.DATALOADER.NUM_WORKERS
    both = [
        max(load / workers, compute) if workers else load + compute
        for load, compute in zip(loading, computing, strict=True)
    ]
    return min(both), max(both)


def _evaluation(alone: CfgNode, model: Any) -> tuple[float, float]:
    """Return the seconds of the quickest and the slowest image."""
    loader = build_detection_test_loader(
        alone, alone.DATASETS.TEST[0], mapper=EvaluationMapper(alone)
    )
    images = itertools.cycle(loader)
    finder = with_test_time_augmentation(alone, model.eval())
    with torch.no_grad():
        loading, computing = _times(lambda: next(images), finder, torch.device(alone.MODEL.DEVICE))
    both = [sum(pair) for pair in zip(loading, computing, strict=True)]
    return min(both), max(both)


def _times(
    load: Callable[[], Any], compute: Callable[[Any], Any], device: torch.device
) -> tuple[list[float], list[float]]:
    """Return the seconds of loading and of computing, without the first, which allocates."""
    loading: list[float] = []
    computing: list[float] = []
    while len(loading) < 3 or (len(loading) < _STEPS and sum(loading + computing) < _ENOUGH):
        start = time.perf_counter()
        batch = load()
        loaded = time.perf_counter()
        compute(batch)
        if device.type == "cuda":
            torch.cuda.synchronize()
        loading.append(loaded - start)
        computing.append(time.perf_counter() - loaded)
    return loading[1:], computing[1:]
