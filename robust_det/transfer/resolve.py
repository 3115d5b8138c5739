"""A transfer config with what the backbone says of itself: sizes, normalisation, threat model."""

from __future__ import annotations

import os

from robust_det.attacks import NORMS
from robust_det.checkpoints.model import Model
from robust_det.classification.attack_settings import attack_doubts, check_attacks
from robust_det.classification.settings import check_size
from robust_det.core.config.reading import CfgNode
from robust_det.core.errors import UserError
from robust_det.data.classification.sizes import usual_resize
from robust_det.models import check_image_size

__all__ = ["normalisation", "resolved"]

_MOST_WORKERS = 8


def resolved(cfg: CfgNode, model: Model, where: str) -> tuple[CfgNode, list[str]]:
    """Return a config in which nothing is left to the backbone, and what should be said of it.

    Args:
        cfg: see :func:`.settings.explain`.
        model: the backbone.
        where: its file, for messages.

    Raises:
        UserError: sizes or attacks that cannot be.
    """
    own, remarks = cfg.clone(), list[str]()
    own.defrost()
    if own.DATA.WORKERS < 0:
        own.DATA.WORKERS = min(len(os.sched_getaffinity(0)), _MOST_WORKERS)
    if not own.DATA.IMAGE_SIZE:
        own.DATA.IMAGE_SIZE = model.image_size
        if not model.described:
            remarks.append(
                f"{where} does not say its size of images; {model.image_size} px are taken, and"
                " DATA.IMAGE_SIZE is another"
            )
    elif model.described and model.image_size != own.DATA.IMAGE_SIZE:
        remarks.append(
            f"{where} was trained on images of {model.image_size} px; DATA.IMAGE_SIZE"
            f" {own.DATA.IMAGE_SIZE} counts"
        )
    own.DATA.RESIZE = own.DATA.RESIZE or usual_resize(own.DATA.IMAGE_SIZE)
    check_size(own)
    check_image_size(model.arch, own.DATA.IMAGE_SIZE)
    if 0 < own.DATA.IMAGE_SIZE <= own.TRANSFER.DOWNSCALE:
        raise UserError(
            f"TRANSFER.DOWNSCALE {own.TRANSFER.DOWNSCALE} is no less than the network's"
            f" {own.DATA.IMAGE_SIZE} px; give less, or 0"
        )
    remarks += _threat(own, model, where)
    check_attacks(own)
    own.freeze()
    return own, [*remarks, *attack_doubts(own, ("ATTACK", "EVAL"))]


def normalisation(cfg: CfgNode, model: Model) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Return mean and std that images in [0, 1] are normalised by: those of the backbone, unless
    the paper's quirk is asked for."""
    if not cfg.PAPER.NORMALISATION:
        return model.mean, model.std
    return _OF_CIFAR.get(cfg.DATA.SET, ((0.0,) * 3, (1.0,) * 3))


# of the robustness library, which the paper's code takes them from
_OF_CIFAR = {
    "cifar10": ((0.4914, 0.4822, 0.4465), (0.2023, 0.1994, 0.2010)),
    "cifar100": ((0.5071, 0.4867, 0.4408), (0.2675, 0.2565, 0.2761)),
}


def _threat(cfg: CfgNode, model: Model, where: str) -> list[str]:
    """Settle the attack of the evaluation; return what should be said."""
    if cfg.EVAL.EPS >= 0:
        if cfg.EVAL.EPS > 0 and not (cfg.EVAL.NORM or model.norm):
            raise UserError(f"EVAL.EPS {cfg.EVAL.EPS:g} needs EVAL.NORM, one of {', '.join(NORMS)}")
        cfg.EVAL.NORM = cfg.EVAL.NORM or model.norm or cfg.ATTACK.NORM
        return []
    if model.eps is not None and model.eps > 0 and cfg.EVAL.NORM not in ("", model.norm):
        raise UserError(
            f"EVAL.NORM {cfg.EVAL.NORM} needs EVAL.EPS: eps {model.eps:g} of {where} is of"
            f" {model.norm}"
        )
    if not model.eps and cfg.ATTACK.EPS > 0:  # what it is trained against is what it may withstand
        if cfg.EVAL.NORM not in ("", cfg.ATTACK.NORM):
            raise UserError(
                f"EVAL.NORM {cfg.EVAL.NORM} needs EVAL.EPS: ATTACK.EPS {cfg.ATTACK.EPS:g} is of"
                f" {cfg.ATTACK.NORM}"
            )
        cfg.EVAL.NORM, cfg.EVAL.EPS = cfg.ATTACK.NORM, cfg.ATTACK.EPS
        return []
    cfg.EVAL.NORM = cfg.EVAL.NORM or model.norm or cfg.ATTACK.NORM
    cfg.EVAL.EPS = model.eps or 0.0
    if model.eps is None:
        return [
            f"{where} does not say its eps: accuracy under attack is not measured; EVAL.NORM and"
            " EVAL.EPS ask for one"
        ]
    return []
