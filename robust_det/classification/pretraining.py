"""Adversarial training of a classifier, from a config to a run folder (Salman et al. 2020)."""

from __future__ import annotations

from collections.abc import Callable, Generator, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import nn

from robust_det.checkpoints.pretrained import FORMAT, card_of_pretraining, require_format
from robust_det.classification.components import build_average, build_model, build_plan, build_step
from robust_det.classification.image_sets import batches_of, training_set, validation_set
from robust_det.classification.pretrain_record import write_pretrain_record
from robust_det.classification.validate import validate
from robust_det.core.config.reading import CfgNode, flatten, to_dict
from robust_det.core.device import resolve_device
from robust_det.core.errors import UserError, naming
from robust_det.core.memory import keep_freed_memory
from robust_det.core.seeding import seed_generators, seeded_generator
from robust_det.data.classification.image_folder import Batch
from robust_det.data.classification.sampling import TrainBatches
from robust_det.models import Classifier
from robust_det.records import RECORD_NAME
from robust_det.training.engine import BEST, FINAL, LAST, Engine, Update
from robust_det.training.run_folder import refuse_other_config, refuse_other_run
from robust_det.training.state import Progress, TrainingState, require_resumable
from robust_det.training.world import World, joined_world, world_from_environment

__all__ = ["Pretraining", "pretrain", "pretraining_engine"]

# keys that change where or how fast a run goes, but not what it computes
_FREE_KEYS = ("OUTPUT_DIR", "DATA.ROOT", "DATA.WORKERS", "TRAIN.CHECKPOINT_STEPS")
# what keys that came later mean for a run that does not have them
_BEFORE = {
    "ATTACK.FOLD_NORMS": False,
    "ATTACK.OBJECTIVE": "cross_entropy",
    "DATA.EXACT_DECODE": True,
    "EVAL.OBJECTIVE": "cross_entropy",
    "EVAL.RESTARTS": 1,
}


def pretrain(cfg: CfgNode, name: str, resume: bool = False) -> bool:
    """Run a config to its end, or until SIGTERM.

    Args:
        cfg: a checked pretraining config.
        name: of the run, for its record.
        resume: continue from ``OUTPUT_DIR/last.pth`` if it is there.

    Returns:
        Whether the run is finished; False after SIGTERM.

    Raises:
        UserError: data, device, or output folder do not fit.
        KeyboardInterrupt: Ctrl-C; the state is saved if it came once.
    """
    device = resolve_device(cfg.DEVICE, world_from_environment().local_rank)
    with joined_world(device) as world:
        return pretraining_engine(cfg, name, device, world, resume).run()


def pretraining_engine(
    cfg: CfgNode, name: str, device: torch.device, world: World, resume: bool
) -> Engine:
    """Build a run, restored from ``last.pth`` if that may be gone on with.

    Raises:
        UserError: see :func:`pretrain`.
    """
    folder = Path(cfg.OUTPUT_DIR)
    refuse_other_run(folder, (LAST, FINAL, BEST, RECORD_NAME), resume, resumed_from=(LAST,))
    if device.type == "cuda":
        torch.backends.cudnn.benchmark = True  # all training batches have one shape
    else:
        keep_freed_memory()
    seed_generators(cfg.SEED)
    task = Pretraining(cfg, name, device, world)
    plan = build_plan(cfg, task.images, world.size)
    state = TrainingState(task.model.body, task.step.update, task.average, Progress())
    return Engine(task, plan, state, folder, name, device, world)


class Pretraining:
    """The task of adversarial pretraining; see :class:`~robust_det.training.engine.Task`.

    Args:
        cfg: a checked pretraining config.
        name: of the run.
        device, world: where it runs, and beside whom.
    """

    def __init__(self, cfg: CfgNode, name: str, device: torch.device, world: World) -> None:
        self.cfg, self.name, self.device, self.world = cfg, name, device, world
        self.train_data = training_set(cfg)
        self.val_data = validation_set(cfg, self.train_data.classes)
        self.images, self.classes = len(self.train_data), len(self.train_data.classes)
        self.model, self.card = build_model(cfg, self.train_data.classes, device)
        self.average = build_average(cfg, self.model)
        self.step = build_step(cfg, self.model, self.average, world)

    def batches(self, start_step: int) -> Generator[Batch, None, None]:
        """Give this process's batches from a step on."""
        order = TrainBatches(
            self.images,
            self.cfg.TRAIN.BATCH_SIZE,
            self.cfg.TRAIN.EPOCHS,
            self.cfg.SEED,
            start_step=start_step,
            rank=self.world.rank,
            world_size=self.world.size,
        )
        return batches_of(self.cfg, self.train_data, order, self.device)

    def update(self, batch: Batch, step: int) -> Update:
        """Do one adversarial step; its random starts are a function of seed, step and process, so
        that resuming repeats them."""
        loss, correct = self.step(
            batch.images.to(self.device, non_blocking=True),
            batch.targets.to(self.device, non_blocking=True),
            seeded_generator(self.device, self.cfg.SEED, step, self.world.rank),
        )
        return Update(loss, correct, len(batch.targets), len(batch.corrupt))

    def validate(self, stop: Callable[[], bool]) -> dict[str, float]:
        """Return clean and adversarial accuracy of the averaged weights, if there are any."""
        model: nn.Module = self.model
        if self.average is not None:
            model = Classifier(self.average.network, self.card.mean, self.card.std).to(self.device)
        return validate(self.cfg, model, self.val_data, self.device, self.world, stop)

    def score(self, values: Mapping[str, float]) -> float:
        """A robust model is chosen by its robustness, a standard one by its accuracy."""
        robust = self.cfg.ATTACK.EPS > 0 and "adversarial_top1" in values
        return values["adversarial_top1" if robust else "clean_top1"]

    def description(self) -> dict[str, Any]:
        """Return format, card and config of the checkpoints."""
        return {
            "format": FORMAT,
            "meta": self.card.plain(),
            "config": to_dict(self.cfg),
            "train_images": self.images,
        }

    def check(self, content: Mapping[str, Any], path: Path) -> None:
        """Refuse a checkpoint of another config or other data.

        Raises:
            UserError: says in what it differs.
        """
        with naming(path):
            require_format(content)
            card = card_of_pretraining(content)
        require_resumable(content, path)
        refuse_other_config(_completed(content["config"]), self.cfg, _FREE_KEYS, path)
        if card != self.card:
            raise UserError(f"{path} was made with other classes; the data at DATA.ROOT changed")
        # absent from the files of earlier versions; another size would be another order of images
        images = content.get("train_images", self.images)
        if images != self.images:
            raise UserError(
                f"{path} was made with {images} training images, DATA.ROOT has {self.images}"
            )

    def conclude(self, weights: Path, values: Mapping[str, Any], seconds: float) -> None:
        """Write the record beside the final weights."""
        write_pretrain_record(
            weights,
            name=self.name,
            cfg=self.cfg,
            card=self.card,
            values=dict(values),
            train_images=self.images,
            val_images=len(self.val_data),
            device=str(self.device),
            processes=self.world.size,
            seconds=seconds,
        )


def _completed(config: Mapping[str, Any]) -> dict[str, Any]:
    """Return a run's config with what runs did before there were keys for it."""
    return {**_BEFORE, **flatten(config)}
