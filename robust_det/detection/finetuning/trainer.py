"""Detectron2's trainer with this project's checkpoints, evaluation and progress."""

from __future__ import annotations

import contextlib
import logging
import weakref
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from detectron2.config import CfgNode
from detectron2.data import build_detection_test_loader
from detectron2.engine import DefaultTrainer, HookBase, TrainerBase, hooks
from detectron2.evaluation import DatasetEvaluator
from detectron2.utils import comm
from fvcore.nn.precise_bn import get_bn_modules

from robust_det.checkpoints.backbone_file import BackboneCard
from robust_det.core.errors import UserError
from robust_det.core.memory import keep_freed_memory
from robust_det.core.signals import leave_to_parent
from robust_det.detection.categories import ClassNames, categories_of
from robust_det.detection.checkpointer import RobustCheckpointer
from robust_det.detection.datasets import describe_dataset
from robust_det.detection.evaluation import build_evaluator
from robust_det.detection.evaluation.augmented import with_test_time_augmentation
from robust_det.detection.finetuning.init_weights import load_init_detector
from robust_det.detection.finetuning.loop.best import KeepBest, PeriodicSaving
from robust_det.detection.finetuning.loop.detector_step import TrainingStep
from robust_det.detection.finetuning.loop.endless import ScheduleHook
from robust_det.detection.finetuning.loop.hooks import ProgressHook, SeedEachStep
from robust_det.detection.finetuning.loop.stopping import leave_if_asked
from robust_det.detection.finetuning.loop.watching import Stopwatch, WithProgress
from robust_det.detection.finetuning.loop.writers import WriterHook
from robust_det.detection.finetuning.switches import accelerate_model, faster_optimizer, precision
from robust_det.detection.finetuning.training_data import build_loader, training_images
from robust_det.detection.finetuning.worker_errors import ReturningErrors
from robust_det.detection.mapping.mapper import EvaluationMapper, build_mapper
from robust_det.detection.provenance import SCHEDULE_KEYS
from robust_det.detection.record import provenance_of
from robust_det.training.averaging import WeightAverage
from robust_det.training.world import bare, this_world

__all__ = ["RobustTrainer"]

logger = logging.getLogger(__name__)


class RobustTrainer(DefaultTrainer):
    """:class:`DefaultTrainer` with our data order, step, checkpoints, evaluation and progress bar.

    Args:
        cfg: a complete config.
        card: of the backbone, kept in every checkpoint.

    Attributes:
        provenance: what this session trains by; checkpoints have it with all changes on the way.
    """

    def __init__(self, cfg: CfgNode, card: BackboneCard | None = None) -> None:
        # in place of DefaultTrainer's, which knows neither processes on CPUs nor another step
        TrainerBase.__init__(self)
        self.cfg = cfg = self.auto_scale_workers(cfg, comm.get_world_size())
        if cfg.MODEL.DEVICE == "cpu":
            keep_freed_memory()
        self.seconds = Stopwatch()
        # as there, in an order that keeps what each draws from the generators
        model = self.build_model(cfg)
        optimizer = self.build_optimizer(cfg, model)
        loader = self.build_train_loader(cfg)
        average = self.average = self._begin_average(model)
        model = this_world().wrap(model)
        self._trainer = TrainingStep(
            model,
            loader,
            optimizer,
            dtype=precision(cfg),
            accumulate=cfg.SOLVER.ACCUMULATE,
            clip_norm=cfg.SOLVER.CLIP_NORM,
            average=average,
        )
        self.scheduler = self.build_lr_scheduler(cfg, optimizer)
        self.provenance = provenance_of(cfg)
        self.checkpointer = RobustCheckpointer(
            model,
            cfg.OUTPUT_DIR,
            card=card,
            categories=categories_of(cfg.DATASETS.TRAIN[0]),
            provenance=self.provenance,
            trainer=weakref.proxy(self),
            seconds=self.seconds,
            **({} if average is None else {"average": average}),
        )
        self.evaluation_due = False
        self._done = -1  # the last iteration whose step is done
        self.start_iter, self.max_iter = 0, cfg.SOLVER.MAX_ITER
        self.register_hooks(self.build_hooks())

    def _begin_average(self, model: Any) -> WeightAverage | None:
        average = self.cfg.SOLVER.EMA
        return WeightAverage(model, average.DECAY, warm_up=True) if average.ENABLED else None

    def build_hooks(self) -> list[HookBase]:
        cfg, main = self.cfg, comm.is_main_process()
        # Detectron2's, in its order, with ours around them
        around: list[HookBase | None] = [
            # first: the bar counts a step before the other hooks evaluate, and goes before they do
            ProgressHook() if main else None,
            ScheduleHook(cfg, len(self.data_loader.dataset)) if main else None,
            SeedEachStep(cfg.SEED),
            hooks.IterationTimer(),
            hooks.LRScheduler(),
            self._precise_statistics(),
            PeriodicSaving(self.checkpointer, cfg.SOLVER.CHECKPOINT_PERIOD) if main else None,
            hooks.EvalHook(cfg.TEST.EVAL_PERIOD, self._evaluate),
            WriterHook(cfg.OUTPUT_DIR) if main else None,
            KeepBest(cfg.TEST.KEEP_BEST, self.checkpointer)
            if cfg.TEST.KEEP_BEST and main
            else None,
        ]
        return [hook for hook in around if hook is not None]

    def _precise_statistics(self) -> HookBase | None:
        """Return the hook of ``TEST.PRECISE_BN``, before checkpoints, which are to have them."""
        cfg = self.cfg
        if not cfg.TEST.PRECISE_BN.ENABLED:
            return None
        if not get_bn_modules(self.model):
            raise UserError(
                "TEST.PRECISE_BN.ENABLED finds no batch norm that trains (MODEL.RESNETS.NORM is"
                f" {cfg.MODEL.RESNETS.NORM}); leave it out, or set MODEL.RESNETS.NORM BN"
            )
        alone = cfg.clone()
        alone.defrost()
        alone.DATALOADER.NUM_WORKERS = 0  # a loader of its own, so that training's is left alone
        loader, batches = self.build_train_loader(alone), cfg.TEST.PRECISE_BN.NUM_ITER
        return hooks.PreciseBN(cfg.TEST.EVAL_PERIOD, self.model, loader, batches)

    def before_train(self) -> None:
        self._done = self.start_iter - 1
        super().before_train()
        leave_if_asked()
        if self.evaluation_due:
            self._catch_up()

    def _catch_up(self) -> None:
        """Do the evaluation that a signal cut off, as it would have been done."""
        self.iter = self.storage.iter = self.start_iter - 1
        for hook in self._hooks:
            if isinstance(hook, hooks.EvalHook):
                hook._do_eval()
            elif isinstance(hook, WriterHook):
                hook.write_figures()
            elif isinstance(hook, KeepBest):
                hook.after_step()
        self.evaluation_due = False

    def save_stopped(self) -> str:
        """Save what was done when :class:`.Stopped` came; in the main process.

        Returns:
            How far the run is, and where that is saved.
        """
        done = self._done
        # of a session without a step there is nothing new, and at the end it is saved already
        if self.start_iter <= done < self.max_iter - 1 and comm.is_main_process():
            # asked during the evaluation of a step, that step is done, and its evaluation is not
            self.evaluation_due = self.iter == done
            self.iter = done  # which the trainer's own state has as well
            self.checkpointer.save(f"model_{done:07d}", iteration=done)
        saved = self.checkpointer.get_checkpoint_file() or "no file yet"
        return f"at iteration {done + 1} of {self.max_iter}, saved in {saved}"

    def run_step(self) -> None:
        super().run_step()
        self._done = self.iter

    @property
    def evaluated(self) -> Any:
        """The model that counts: with its averaged weights, if there are any."""
        return self.model if self.average is None else self.average.network

    def _evaluate(self) -> Any:
        self._last_eval_results = self.test(self.cfg, self.evaluated)
        return self._last_eval_results

    def resume_or_load(self, resume: bool = True) -> None:
        if self.cfg.MODEL.INIT_DETECTOR and not (resume and self.checkpointer.has_checkpoint()):
            said = load_init_detector(self.cfg, bare(self.model), self._classes())
            if comm.is_main_process():
                logger.info(said)
        else:
            rates = list(self.scheduler.base_lrs)
            super().resume_or_load(resume)
            if any(one.key in SCHEDULE_KEYS for one in self.checkpointer.changed):
                self._take_rates(rates)
        self.data_loader.plan.start = self.start_iter * self.cfg.SOLVER.ACCUMULATE
        if self.average is not None and self.start_iter == 0:
            self.average.restart()  # it was begun before the weights were loaded

    def _take_rates(self, rates: Sequence[float]) -> None:
        """Let the next step be by this session's schedule: the checkpoint has that of before.

        Args:
            rates: of the groups of parameters, as the config says them.
        """
        self.scheduler.base_lrs = list(rates)
        groups = self.optimizer.param_groups
        for group, rate, now in zip(groups, rates, self.scheduler.get_lr(), strict=True):
            group["initial_lr"], group["lr"] = rate, now

    def _classes(self) -> ClassNames:
        facts = describe_dataset(self.cfg.DATASETS.TRAIN[0])
        return ClassNames(tuple(facts.classes), tuple(facts.stuff))

    def state_dict(self) -> dict[str, Any]:
        # Detectron2 0.5 leaves the step out, and with it the optimiser's momentum
        due = {"evaluation_due": True} if self.evaluation_due else {}
        return {**TrainerBase.state_dict(self), "_trainer": self._trainer.state_dict(), **due}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        TrainerBase.load_state_dict(self, state_dict)
        self.evaluation_due = bool(state_dict.get("evaluation_due"))
        if "_trainer" in state_dict:
            self._trainer.load_state_dict(state_dict["_trainer"])

    @classmethod
    def build_model(cls, cfg: CfgNode) -> Any:
        return accelerate_model(cfg, super().build_model(cfg))

    @classmethod
    def build_optimizer(cls, cfg: CfgNode, model: Any) -> Any:
        return faster_optimizer(cfg, super().build_optimizer(cfg, model))

    @classmethod
    def build_train_loader(cls, cfg: CfgNode) -> Any:
        images = training_images(cfg)
        return build_loader(cfg, images, build_mapper(cfg, images))

    @classmethod
    def build_evaluator(cls, cfg: CfgNode, dataset_name: str) -> DatasetEvaluator:
        return build_evaluator(cfg, dataset_name)

    @classmethod
    def test(cls, cfg: CfgNode, model: Any, evaluators: Any = None) -> Any:
        # evaluators print their tables; they belong into the log, the terminal shows the AP
        with open(Path(cfg.OUTPUT_DIR) / "log.txt", "a") as log, contextlib.redirect_stdout(log):
            return super().test(cfg, with_test_time_augmentation(cfg, model), evaluators)

    @classmethod
    def build_test_loader(cls, cfg: CfgNode, dataset_name: str) -> Any:
        mapper = ReturningErrors(EvaluationMapper(cfg))
        loader = build_detection_test_loader(cfg, dataset_name, mapper=mapper)
        loader.worker_init_fn = leave_to_parent
        return WithProgress(loader, f"evaluate {dataset_name}", comm.is_main_process())
