"""The task of training a classifier, adversarially or not: what all such runs share."""

from __future__ import annotations

import abc
import dataclasses
import logging
from collections.abc import Callable, Generator, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import nn

from robust_det.attacks import PGD
from robust_det.classification.attack_settings import eval_attack_words
from robust_det.classification.augmentation import mixing_of
from robust_det.classification.components import build_average, build_step
from robust_det.classification.image_sets import batches_of
from robust_det.classification.methods import METHODS, CleanNorms, PGDTraining
from robust_det.classification.methods.collapse import collapse, way_out
from robust_det.classification.methods.free import replayed, replays_of
from robust_det.classification.methods.warm_up import strength
from robust_det.classification.optimizer import optimizer_words
from robust_det.classification.validate import validate
from robust_det.core.config.reading import CfgNode
from robust_det.core.errors import counted
from robust_det.core.memory import keep_freed_memory
from robust_det.core.seeding import seed_generators, seeded_generator
from robust_det.data.classification.image_list import Batch, ImageList
from robust_det.data.classification.sampling import TrainBatches
from robust_det.models import Classifier, ModelCard
from robust_det.training.engine import Update
from robust_det.training.world import World

__all__ = ["ClassifierTask", "prepare_process"]

logger = logging.getLogger(__name__)

_STEPS = 3  # of the attack of Salman et al. 2020


def prepare_process(cfg: CfgNode, device: torch.device) -> None:
    """Seed the generators, and let training be fast; before its network is built."""
    if device.type == "cuda":
        torch.backends.cudnn.benchmark = True  # all training batches have one shape
    else:
        keep_freed_memory()
    seed_generators(cfg.SEED)


class ClassifierTask(abc.ABC):
    """Trains a classifier: what is the same of all of a :class:`~robust_det.training.engine.Task`.

    Args:
        cfg: of pretraining, or one that has its keys but for ``MODEL``.
        device, world: where it runs, and beside whom.
        train_data, val_data: the images.
        model, card: the classifier, and what its checkpoints say of it.
        groups, still, clean_norms: of its parameters and modules, see
            :func:`.components.build_step`.

    Attributes:
        images, classes: of the training data.
        average: of the weights, or None.
        mixing: of the images of a batch, or None.
        step: the optimiser step.
        collapsed: what the latest validation says of a collapse; empty if there is none.
    """

    def __init__(
        self,
        cfg: CfgNode,
        device: torch.device,
        world: World,
        train_data: ImageList,
        val_data: ImageList,
        model: Classifier,
        card: ModelCard,
        groups: Sequence[Mapping[str, Any]] = (),
        still: Sequence[nn.Module] = (),
        clean_norms: CleanNorms | None = None,
    ) -> None:
        self.cfg, self.device, self.world = cfg, device, world
        self.train_data, self.val_data = train_data, val_data
        self.images, self.classes = len(train_data), len(train_data.classes)
        self.model, self.card = model, card
        self.average = build_average(cfg, model)
        # of the head, which may have more outputs than there are classes
        self.mixing = mixing_of(cfg, len(card.classes))
        self.step = build_step(cfg, model, self.average, world, groups, still, clean_norms)
        self.collapsed = ""

    @abc.abstractmethod
    def say_oddities(self, start_step: int) -> None:
        """Log what is odd about the run, which begins at a step; in the main process."""

    def batches(self, start_step: int) -> Generator[Batch, None, None]:
        """Give this process's batches from a step on; what is odd about the run is said before."""
        if self.world.is_main:
            self.say_oddities(start_step)
            for line in optimizer_words(self.cfg, self.step.update.optimizer):
                logger.info(line)
            if words := eval_attack_words(self.validation_cfg(), len(self.val_data)):
                logger.info(f"validation attacks: adversarial_top1 is under {words}")
            if self.mixing is not None:
                logger.info(
                    "images are mixed in pairs: the accuracy of training counts the class that has"
                    " the larger share of an image"
                )
            if self.cfg.ATTACK.EPS > 0:
                self._say_cost()
        replays = replays_of(self.cfg)
        start, done = divmod(start_step, replays)
        order = TrainBatches(
            self.images,
            self.cfg.TRAIN.BATCH_SIZE,
            self.cfg.TRAIN.EPOCHS // replays,
            self.cfg.SEED,
            start_step=start,
            rank=self.world.rank,
            world_size=self.world.size,
            repeats=self.cfg.DATA.REPEATS,
        )
        batches = batches_of(self.cfg, self.train_data, order, self.device)
        return batches if replays == 1 else replayed(batches, replays, done)

    def update(self, batch: Batch, step: int) -> Update:
        """Do one adversarial step; its random starts, and which images it mixes how, are a function
        of seed, step and process, so that resuming repeats them."""
        images = batch.images.to(self.device, non_blocking=True)
        targets = batch.targets.to(self.device, non_blocking=True)
        if self.mixing is not None:
            # a batch that comes several times is the same each time
            number = step // replays_of(self.cfg)
            images, targets = self.mixing(images, targets, self.cfg.SEED, number, self.world.rank)
        loss, correct = self.step(
            images,
            targets,
            seeded_generator(self.device, self.cfg.SEED, step, self.world.rank),
            self._strength(step),
        )
        return Update(loss, correct, len(batch.targets), len(batch.corrupt))

    def _say_cost(self) -> None:
        """Log what the method costs beside PGD-AT, by as many steps or those of the paper."""
        name, attack = self.cfg.TRAIN.METHOD, self.step.attack
        steps = attack.steps if name not in ("free", "fast") else _STEPS
        usual = PGDTraining()
        if isinstance(attack, PGD):
            by, pgd = "", dataclasses.replace(attack, steps=steps)
        else:
            by = f" with {type(attack).__name__} of {counted(steps, 'step')}"
            pgd = PGD(attack.threat, steps, attack.threat.eps)
        by_pgd = usual.loss_passes(1).plus(usual.inner_passes(pgd))
        replays = replays_of(self.cfg)
        shorter = f", in {self.cfg.TRAIN.EPOCHS // replays} epochs of {replays} replays"
        logger.info(
            f"training by {name} ({METHODS[name].source}){by}: {self.step.cost().words()} passes an"
            f" image{shorter if replays > 1 else ''}; PGD-AT by {steps} steps:"
            f" {by_pgd.words()}"
        )

    def _strength(self, step: int) -> float:
        steps = self.images // self.cfg.TRAIN.BATCH_SIZE
        return strength(step, steps, self.cfg.ATTACK.WARMUP_EPOCHS)

    def validate(self, stop: Callable[[], bool]) -> dict[str, Any]:
        """Return clean and adversarial accuracy of the averaged weights, if there are any, and
        under which attack."""
        model: nn.Module = self.model
        if self.average is not None:
            model = Classifier(self.average.network, self.card.mean, self.card.std).to(self.device)
        self._say_overflows()
        values = self.accuracies(model, stop)
        words = eval_attack_words(self.validation_cfg(), len(self.val_data))
        return {**values, "adversarial_attack": words} if words else {**values}

    def validation_cfg(self) -> CfgNode:
        """Return the config with the attack of validation."""
        return self.cfg

    def accuracies(self, model: nn.Module, stop: Callable[[], bool]) -> dict[str, float]:
        """Return those of a network on the validation images, see :func:`.validate.validate`."""
        return validate(self.validation_cfg(), model, self.val_data, self.device, self.world, stop)

    def _say_overflows(self) -> None:
        """Warn of attacks that were weaker than they should be, and begin to count anew."""
        count = int(self.world.sum(self.step.overflows.clone()))
        self.step.overflows.zero_()
        if count and self.world.is_main:
            logger.warning(
                f"the attack of training met NaN or Inf among an image's logits {count} times, and"
                " did nothing there; lower OPTIM.LR, or take another TRAIN.PRECISION"
            )

    def watch(
        self, values: Mapping[str, float], best: float, best_epoch: int, weights: Path
    ) -> None:
        """Warn if training by one step has lost the robustness that it had."""
        self.collapsed = ""
        by_one_step = self.cfg.TRAIN.METHOD != "free" and self.step.attack.steps == 1
        if self.cfg.ATTACK.EPS > 0 and by_one_step and "adversarial_top1" in values:
            score, epoch = self.score(values), int(values["epoch"])
            instead = way_out(self.cfg)
            self.collapsed = collapse(score, epoch, best, best_epoch, weights, instead)
        if self.collapsed:
            logger.warning(self.collapsed)

    def score(self, values: Mapping[str, float]) -> float:
        """A robust model is chosen by its robustness, a standard one by its accuracy."""
        robust = self.cfg.ATTACK.EPS > 0 and "adversarial_top1" in values
        return values["adversarial_top1" if robust else "clean_top1"]
