"""Adversarial training of a classifier, from a config to a run folder (Salman et al. 2020)."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec
import torch
from torch import nn

from robust_det.checkpoints.model_file import NetworkFile
from robust_det.checkpoints.pretrained import FORMAT
from robust_det.classification.attack_settings import attack_doubts
from robust_det.classification.components import build_model, build_plan, learning_parts
from robust_det.classification.going_on import Earlier, RunData
from robust_det.classification.image_sets import (
    image_sets,
    require_room,
    require_same_everywhere,
    say_oddities,
)
from robust_det.classification.methods import CleanNorms
from robust_det.classification.per_class.table import CLASSES_NAME
from robust_det.classification.pretrain_record import write_pretrain_record
from robust_det.classification.starting import Start, read_start
from robust_det.classification.task import ClassifierTask, prepare_process
from robust_det.classification.validation_report import EXAMPLES_NAME, ValidationReport
from robust_det.core.config.reading import CfgNode, to_dict
from robust_det.core.device import resolve_device
from robust_det.core.errors import UserError
from robust_det.records import RECORD_NAME
from robust_det.records.base import Change
from robust_det.training.engine import BEST, FINAL, LAST, Engine
from robust_det.training.run_folder import (
    AS_BEFORE,
    MayChange,
    held_folder,
    refuse_other_run,
    say_changes,
    set_aside,
)
from robust_det.training.state import Progress, TrainingState
from robust_det.training.trackers.trackers import require_installed, tracking_of
from robust_det.training.world import World, joined_world, world_from_environment

__all__ = ["Pretraining", "pretrain", "pretraining_engine"]

logger = logging.getLogger(__name__)

CLEAN_NORMS, BEST_CLASSES_NAME = "clean_norms", "classes_best.csv"


def pretrain(
    cfg: CfgNode,
    name: str,
    resume: bool = False,
    weights: NetworkFile | None = None,
    may_change: MayChange = AS_BEFORE,
) -> None:
    """Run a config to its end.

    Args:
        cfg: a checked pretraining config.
        name: of the run, for its record.
        resume: continue from ``OUTPUT_DIR/last.pth`` if it is there.
        weights: the file of ``MODEL.INIT``, of any format that :func:`.read_model` reads, where
            that is a name or leaves open which network is meant; a run that is resumed has to have
            started from it.
        may_change: what a run that is resumed may do otherwise; said in checkpoints and record.

    Raises:
        UserError: data, device, or output folder do not fit.
        SystemExit: SIGTERM or SIGUSR1, and the state is saved; its code is that of such an end.
        KeyboardInterrupt: Ctrl-C; the state is saved if it came once.
    """
    require_installed(cfg)
    device = resolve_device(cfg.DEVICE, world_from_environment().local_rank)
    with joined_world(device) as world, held_folder(Path(cfg.OUTPUT_DIR), world) as folder:
        resume = resume or folder.restarted
        engine = pretraining_engine(cfg, name, device, world, resume, weights, may_change)
        folder.begin()
        engine.run()
        folder.end()


def pretraining_engine(
    cfg: CfgNode,
    name: str,
    device: torch.device,
    world: World,
    resume: bool,
    weights: NetworkFile | None = None,
    may_change: MayChange = AS_BEFORE,
) -> Engine:
    """Build a run, restored from ``last.pth`` if that may be gone on with.

    Raises:
        UserError: see :func:`pretrain`.
    """
    folder = Path(cfg.OUTPUT_DIR)
    refuse_other_run(folder, (LAST, FINAL, BEST, RECORD_NAME), resume, resumed_from=(LAST,))
    if resume and world.is_main and not (folder / LAST).exists():
        # a scheduler asks for it from the first start on; a mistyped folder looks the same
        logger.info(f"{folder} holds no run to go on with: one begins")
    prepare_process(cfg, device)
    if weights is None and cfg.MODEL.INIT:
        weights = NetworkFile(Path(cfg.MODEL.INIT))
    start = read_start(cfg, weights) if weights is not None else None
    if cfg.MODEL.FREEZE != "none" and start is None and not (folder / LAST).exists():
        raise UserError(
            f"MODEL.FREEZE {cfg.MODEL.FREEZE} would keep random weights as they are; give"
            " MODEL.INIT, or leave it out"
        )
    if may_change != AS_BEFORE and not (folder / LAST).exists():
        raise UserError(f"{folder} holds no run that could go on otherwise; start it without that")
    task = Pretraining(cfg, name, device, world, start, may_change)
    sha256 = start.sha256 if start is not None else ""
    require_same_everywhere(cfg, task.train_data, task.val_data, folder / LAST, world, sha256)
    plan = build_plan(cfg, task.images, world.size)
    require_room(cfg, world.size, training=plan.steps, validation=len(task.val_data))
    state = TrainingState(
        task.model.body,
        task.step.update,
        task.average,
        Progress(),
        may_change.world_size,
        beside=task.beside,
        carried=task.step.method,
    )
    engine = Engine(task, plan, state, folder, name, device, world, tracking_of(cfg, name))
    if task.new_changes and state.progress.step >= plan.steps:
        raise UserError(
            f"{folder} has done {state.progress.step} steps, and TRAIN.EPOCHS {cfg.TRAIN.EPOCHS}"
            f" are {plan.steps}; give a longer schedule"
        )
    if task.other_score:
        # a score under another attack is no measure for those to come
        state.progress.best = Progress().best
    return engine


class Pretraining(ClassifierTask):
    """The task of adversarial pretraining; see :class:`~robust_det.training.engine.Task`.

    Args:
        cfg: a checked pretraining config.
        name: of the run.
        device, world: where it runs, and beside whom.
        start: the weights to start from; None for random ones.
        may_change: see :func:`pretrain`.

    Attributes:
        changes: of the config and the number of processes, over all sessions.
        new_changes: those of this one.
        started_from: path and sha256 of the file that the run started from, if there was one.
        held_out: how the validation images were split off the training images, if they were.
        head: what was done with its head, in words.
        other_score: keys that choose the best weights and are others than in the session before.
        report: of the latest validation in this session.
    """

    products: Sequence[str] = (RECORD_NAME,)
    shown: Sequence[str] = (CLASSES_NAME, BEST_CLASSES_NAME, EXAMPLES_NAME)

    def __init__(
        self,
        cfg: CfgNode,
        name: str,
        device: torch.device,
        world: World,
        start: Start | None = None,
        may_change: MayChange = AS_BEFORE,
    ) -> None:
        self.may_change = may_change
        self.changes, self.new_changes = list[Change](), list[Change]()
        self.name = name
        sets = image_sets(cfg)
        train, val, self.held_out = sets.train, sets.val, sets.held_out
        self.start, self.other_score = start, list[str]()
        self.report: ValidationReport | None = None
        self.started_from = {"path": start.path, "sha256": start.sha256} if start else None
        self.data = RunData(train, val)
        model, card, self.head = build_model(cfg, train.classes, device, start)
        if cfg.MODEL.SYNC_NORMS:
            world.synchronise_norms(model)
        norms = None
        if cfg.MODEL.SEPARATE_NORMS and cfg.ATTACK.EPS > 0:
            norms = CleanNorms(model)
            model.add_module(CLEAN_NORMS, norms)  # where DDP and the optimiser find them
        groups, still = learning_parts(cfg, model)
        super().__init__(cfg, device, world, train, val, model, card, groups, still, norms)

    def say_oddities(self, start_step: int) -> None:
        """Log where the weights come from, and what is odd about attack and data."""
        if self.start is not None and start_step == 0:
            logger.info(f"starting from {self.start.path} ({self.start.model.format}): {self.head}")
            for remark in self.start.model.remarks:
                logger.warning(f"{self.start.path}: {remark}")
        if self.cfg.MODEL.FREEZE != "none":
            every = list(self.model.parameters())
            frozen = sum(not parameter.requires_grad for parameter in every)
            logger.info(
                f"frozen up to {self.cfg.MODEL.FREEZE}: {frozen} of {len(every)} tensors stay, and"
                " the statistics of their norms"
            )
        if self.other_score:
            logger.warning(f"best.pth is chosen anew from here: {'; '.join(self.other_score)}")
        for doubt in attack_doubts(self.cfg):
            logger.warning(doubt)
        if self.beside:
            logger.info(
                "clean images have batch norms of their own; those of attacked images are the"
                " network's, which is attacked, validated and left in the files of weights"
            )
        if self.held_out is not None:
            logger.info(f"{self.held_out.words(self.val_data)}; the others are trained on")
        say_oddities(self.train_data, self.val_data)

    @property
    def beside(self) -> dict[str, nn.Module]:
        """What is trained with the network and ends with the run."""
        return {name: m for name, m in self.model.named_children() if name == CLEAN_NORMS}

    def description(self) -> dict[str, Any]:
        """Return format, card and config of the checkpoints."""
        return {
            "format": FORMAT,
            "meta": self.card.plain(),
            "config": to_dict(self.cfg),
            "train_images": self.images,
            "data": self.data.packed(),
            **({"started_from": self.started_from} if self.started_from else {}),
            **({"changes": msgspec.to_builtins(self.changes)} if self.changes else {}),
        }

    def check(self, content: Mapping[str, Any], path: Path) -> None:
        """Refuse a checkpoint of another config or other data.

        Raises:
            UserError: says in what it differs.
        """
        earlier = Earlier(content, path)
        self.changes, self.new_changes = earlier.changes(self.cfg, self.world, self.may_change)
        earlier.compare_classes(self.card, self.images)
        earlier.compare_data(self.data, self.world)
        self.started_from = earlier.started_from(self.start)
        self.cfg = earlier.with_start(self.cfg)
        self.other_score = earlier.other_score(self.cfg)

    def begin(self, folder: Path, step: int) -> None:
        """Say what is otherwise from here, and set aside what the run ended with before."""
        say_changes(self.new_changes)
        for product in (RECORD_NAME, FINAL, *self.shown) if self.new_changes else ():
            set_aside(folder / product, step)

    def accuracies(self, model: nn.Module, stop: Callable[[], bool]) -> dict[str, float]:
        """Return those of a network, and keep those of its classes and some of the images."""
        self.report = ValidationReport(self.cfg, self.card.classes, self.val_data, self.device)
        return self.report.validate(model, self.world, stop)

    def watch(
        self, values: Mapping[str, float], best: float, best_epoch: int, weights: Path
    ) -> None:
        """Write the accuracies of classes, of this validation and of the best."""
        super().watch(values, best, best_epoch, weights)
        if self.report is not None:
            self.report.write_classes(weights.with_name(CLASSES_NAME))
            if self.score(values) > best:
                self.report.write_classes(weights.with_name(BEST_CLASSES_NAME))

    def conclude(self, weights: Path, values: Mapping[str, Any], seconds: float) -> None:
        """Write the record beside the final weights, and what the last validation showed."""
        if self.report is not None:
            self.report.conclude(weights.parent, self.name)
        write_pretrain_record(
            weights,
            name=self.name,
            cfg=self.cfg,
            card=self.card,
            values=dict(values),
            train_images=self.images,
            held_out=self.held_out,
            started_from=self.started_from,
            changes=self.changes,
            device=str(self.device),
            processes=self.world.size,
            seconds=seconds,
            cost=self.step.cost(),
        )
        if self.collapsed:
            best = weights.with_name(BEST)
            logger.warning(
                f"{weights} has the weights of after the collapse; to go on with those of before:"
                f" robust-det convert {best} output/backbones/{self.name}.pth"
            )
