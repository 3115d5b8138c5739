"""From a pretraining config to what is trained: the classifier, its step, its average, its plan."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import nn

from robust_det.classification.adversarial_step import TrainingStep
from robust_det.classification.attack_settings import train_attack
from robust_det.classification.methods import METHODS, CleanNorms
from robust_det.classification.methods.clean_share import check_clean_share
from robust_det.classification.methods.free import replays_of
from robust_det.classification.optimizer import build_optimizer
from robust_det.classification.settings import memory_layout
from robust_det.classification.stagewise import frozen_stages, resting_modules, stage_groups
from robust_det.classification.starting import Start
from robust_det.core.config.reading import CfgNode
from robust_det.core.device import AMP_DTYPES
from robust_det.models import Classifier, ModelCard, build_classifier
from robust_det.models.folding import FoldedNorms
from robust_det.training.averaging import WeightAverage
from robust_det.training.engine import Plan
from robust_det.training.schedule import LearningRate, steps_per_epoch
from robust_det.training.world import World

__all__ = ["build_average", "build_model", "build_plan", "build_step", "learning_parts"]


def build_model(
    cfg: CfgNode, classes: Sequence[str], device: torch.device, start: Start | None = None
) -> tuple[Classifier, ModelCard, str]:
    """Build the classifier, randomly initialised or started from other weights.

    Returns:
        It, the description for its checkpoints, and what was done with the head of the weights.
    """
    card = ModelCard(
        arch=cfg.MODEL.ARCH,
        norm=cfg.ATTACK.NORM,
        eps=cfg.ATTACK.EPS,
        mean=tuple(cfg.MODEL.MEAN),
        std=tuple(cfg.MODEL.STD),
        image_size=cfg.DATA.IMAGE_SIZE,
        classes=tuple(classes),
    )
    model = build_classifier(card.arch, len(classes), card.mean, card.std)
    said = start.load(model, classes) if start is not None else ""
    model.to(device).to(memory_format=memory_layout(cfg))
    if cfg.TRAIN.COMPILE:
        model.compile()
    return model, card, said


def learning_parts(
    cfg: CfgNode, model: Classifier
) -> tuple[list[Mapping[str, Any]], list[nn.Module]]:
    """Return the groups of parameters that learn, none where all do alike, and the modules that
    rest; what is frozen needs no gradient from now on.

    Raises:
        UserError: the architecture has no stage ``MODEL.FREEZE``.
    """
    arch, decay = cfg.MODEL.ARCH, cfg.OPTIM.LAYER_DECAY
    frozen = frozen_stages(arch, cfg.MODEL.FREEZE, "MODEL.FREEZE")
    if not frozen and decay == 1:
        return [], []
    groups = stage_groups(model.body, arch, frozen, decay)
    return groups, resting_modules(model.body, arch, frozen)


def build_average(cfg: CfgNode, model: Classifier) -> WeightAverage | None:
    """Begin the moving average where the config asks for it."""
    decay = cfg.OPTIM.EMA_DECAY
    return WeightAverage(model.body, decay) if decay > 0 else None


def build_step(
    cfg: CfgNode,
    model: Classifier,
    average: WeightAverage | None,
    world: World,
    groups: Sequence[Mapping[str, Any]] = (),
    still: Sequence[nn.Module] = (),
    clean_norms: CleanNorms | None = None,
) -> TrainingStep:
    """Build the adversarial step with its optimiser.

    Args:
        cfg: of a run.
        model: what is trained.
        average: of its weights.
        world: the processes that train together.
        groups: see :func:`.build_optimizer`.
        still, clean_norms: see :class:`TrainingStep`.
    """
    attacked = None
    if cfg.ATTACK.FOLD_NORMS and cfg.ATTACK.EPS > 0 and cfg.TRAIN.METHOD != "free":
        attacked = FoldedNorms(model)
        if cfg.TRAIN.COMPILE:
            attacked.network.compile()
    return TrainingStep(
        model,
        world.wrap(model),
        build_optimizer(cfg, list(model.parameters()), groups),
        train_attack(cfg),
        METHODS[cfg.TRAIN.METHOD].build(cfg),
        attacked=attacked,
        clean_share=cfg.TRAIN.CLEAN_SHARE,
        awp_gamma=cfg.TRAIN.AWP_GAMMA,
        clean_norms=clean_norms,
        amp_dtype=AMP_DTYPES[cfg.TRAIN.PRECISION],
        clip_norm=cfg.OPTIM.CLIP_NORM,
        accumulate=cfg.TRAIN.ACCUMULATE,
        channels_last=cfg.TRAIN.CHANNELS_LAST,
        still=still,
        average=average,
        world=world,
    )


def build_plan(cfg: CfgNode, images: int, processes: int) -> Plan:
    """Return how long a run on so many images is.

    An epoch of the plan is a pass over the images; where each batch comes several times, it is as
    many of ``TRAIN.EPOCHS``, by which the learning rate goes.

    Raises:
        UserError: the batch cannot be shared by the processes, or is larger than the data.
    """
    train, optim, replays = cfg.TRAIN, cfg.OPTIM, replays_of(cfg)
    check_clean_share(cfg, processes)
    steps = steps_per_epoch(images, train.BATCH_SIZE, train.ACCUMULATE, processes)
    rate = LearningRate(
        optim.SCHEDULE,
        optim.LR,
        train.EPOCHS,
        steps,
        optim.WARMUP_EPOCHS,
        optim.STEP_EPOCHS,
        optim.GAMMA,
        tuple(optim.MILESTONES),
    )
    return Plan(
        epochs=train.EPOCHS // replays,
        steps_per_epoch=steps * replays,
        batch_size=train.BATCH_SIZE,
        checkpoint_steps=train.CHECKPOINT_STEPS,
        eval_epochs=cfg.EVAL.EPOCHS,
        learning_rate=rate,
    )
