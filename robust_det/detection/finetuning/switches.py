"""The accelerations that do not change what a step means: memory format, folded norms, compilation,
pooling, optimiser."""

from __future__ import annotations

from typing import Any

import torch
from detectron2.config import CfgNode
from torch import nn

from robust_det.backbones.frozen_folding import fold_frozen_norms
from robust_det.core.device import AMP_DTYPES
from robust_det.core.errors import UserError
from robust_det.detection.roi_align import pool_by_table

__all__ = ["accelerate_model", "faster_optimizer", "precision"]


def precision(cfg: CfgNode) -> torch.dtype | None:
    """Return the autocast type of ``SOLVER.PRECISION``; None is float32 throughout."""
    return AMP_DTYPES[cfg.SOLVER.PRECISION]


def accelerate_model(cfg: CfgNode, model: nn.Module) -> nn.Module:
    """Apply ``MODEL.CHANNELS_LAST``, ``FOLD_NORMS`` and ``TABLE_ROI_ALIGN``, and
    ``MODEL.BACKBONE.COMPILE`` in place.

    Raises:
        UserError: one of them finds nothing to change.
    """
    if cfg.MODEL.FOLD_NORMS:
        if cfg.MODEL.BACKBONE.COMPILE:
            raise UserError(
                "MODEL.BACKBONE.COMPILE merges frozen norms with what follows them; leave"
                " MODEL.FOLD_NORMS out"
            )
        if not fold_frozen_norms(model):
            raise UserError(
                "MODEL.FOLD_NORMS finds no frozen norm after a convolution (MODEL.RESNETS.NORM is"
                f" {cfg.MODEL.RESNETS.NORM}, MODEL.BACKBONE.ARCH {cfg.MODEL.BACKBONE.ARCH}); leave"
                " it out"
            )
    if cfg.MODEL.TABLE_ROI_ALIGN and not pool_by_table(model):
        raise UserError(
            f"MODEL.TABLE_ROI_ALIGN: a {cfg.MODEL.META_ARCHITECTURE} with these keys has no"
            " ROIAlign; leave it out"
        )
    if cfg.MODEL.CHANNELS_LAST:
        # convolutions with such weights make such features of any input
        model.to(memory_format=torch.channels_last)
    if cfg.MODEL.BACKBONE.COMPILE:
        # in place: a wrapper would rename the tensors; dynamic: every batch has its own size
        model.get_submodule("backbone").compile(dynamic=True)
    return model


def faster_optimizer(cfg: CfgNode, optimizer: torch.optim.Optimizer) -> torch.optim.Optimizer:
    """Let the optimiser update all tensors in one call, by ``SOLVER.FUSED``."""
    if not cfg.SOLVER.FUSED:
        return optimizer
    options: dict[str, Any] = {k: v for k, v in optimizer.defaults.items() if k not in _CHOICES}
    groups = [
        {k: v for k, v in group.items() if k not in _CHOICES} for group in optimizer.param_groups
    ]
    kind: Any = type(optimizer)
    return kind(groups, **options, fused=True)


_CHOICES = ("foreach", "fused", "differentiable", "maximize", "capturable")
