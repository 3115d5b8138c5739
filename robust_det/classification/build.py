"""From a pretraining config to what is trained: the classifier, its step and its state."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import nn
from torch.nn.parallel import DistributedDataParallel
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from robust_det.classification.settings import memory_layout, train_attack
from robust_det.classification.state import Progress, TrainingState
from robust_det.classification.step import TrainingStep
from robust_det.core.config import CfgNode
from robust_det.core.device import AMP_DTYPES
from robust_det.models import Classifier, ModelCard, build_classifier
from robust_det.models.folding import FoldedNorms
from robust_det.training.world import World

__all__ = ["build_model", "build_state", "build_step"]


def build_model(
    cfg: CfgNode, classes: Sequence[str], device: torch.device
) -> tuple[Classifier, ModelCard]:
    """Build the classifier, randomly initialised, and the description for its checkpoints."""
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
    model.to(device).to(memory_format=memory_layout(cfg))
    if cfg.TRAIN.COMPILE:
        model.compile()
    return model, card


def build_step(cfg: CfgNode, model: Classifier, device: torch.device, world: World) -> TrainingStep:
    """Build the adversarial step with its optimiser, SGD as in the paper."""
    optimizer = torch.optim.SGD(
        model.parameters(),
        lr=cfg.OPTIM.LR,
        momentum=cfg.OPTIM.MOMENTUM,
        nesterov=cfg.OPTIM.NESTEROV,
        weight_decay=cfg.OPTIM.WEIGHT_DECAY,
    )
    network: nn.Module = model
    if world.size > 1:
        ids = [device.index] if device.type == "cuda" else None
        # buffers: see World.average_buffers
        network = DistributedDataParallel(model, device_ids=ids, broadcast_buffers=False)
    attacked = None
    if cfg.ATTACK.FOLD_NORMS and cfg.ATTACK.EPS > 0:
        attacked = FoldedNorms(model)
        if cfg.TRAIN.COMPILE:
            attacked.network.compile()
    return TrainingStep(
        model,
        network,
        optimizer,
        train_attack(cfg),
        attacked=attacked,
        objective=cfg.ATTACK.OBJECTIVE,
        amp_dtype=AMP_DTYPES[cfg.TRAIN.PRECISION],
        label_smoothing=cfg.OPTIM.LABEL_SMOOTHING,
        clip_norm=cfg.OPTIM.CLIP_NORM,
        accumulate=cfg.TRAIN.ACCUMULATE,
        channels_last=cfg.TRAIN.CHANNELS_LAST,
    )


def build_state(
    cfg: CfgNode, model: Classifier, card: ModelCard, step: TrainingStep, train_images: int
) -> TrainingState:
    """Gather what changes while training, with the moving average where the config asks for it."""
    ema = None
    if cfg.OPTIM.EMA_DECAY > 0:
        average = get_ema_multi_avg_fn(cfg.OPTIM.EMA_DECAY)
        ema = AveragedModel(model.body, multi_avg_fn=average, use_buffers=True)
    return TrainingState(
        card, cfg, model.body, ema, step.optimizer, step.scaler, Progress(), train_images
    )
