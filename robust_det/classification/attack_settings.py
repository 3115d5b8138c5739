"""The attacks that a pretraining config describes: that of training, and that of validation."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from robust_det.attacks import APGD, PGD, TrainingAttack, make_threat
from robust_det.attacks.units import check_radius, check_step, radius_doubt, step_doubt
from robust_det.classification.methods.free import replays_of
from robust_det.classification.methods.registry import METHODS
from robust_det.core.config.idle import Switch
from robust_det.core.config.reading import CfgNode
from robust_det.core.device import AMP_DTYPES
from robust_det.core.errors import UserError

__all__ = [
    "ATTACKS",
    "attack_doubts",
    "attack_switches",
    "check_attacks",
    "eval_attack",
    "eval_attack_words",
    "train_attack",
]

# by which networks are trained
ATTACKS = ("pgd", "apgd")

# of a half precision type, within which losses tie
_SPACINGS = 16


def train_attack(cfg: CfgNode) -> TrainingAttack:
    """Return the attack that makes the training examples; of free, what its replays come to."""
    eps, method = cfg.ATTACK.EPS, cfg.TRAIN.METHOD
    threat = make_threat(cfg.ATTACK.NORM, eps)
    if cfg.ATTACK.NAME == "apgd":
        start = cfg.ATTACK.RANDOM_START
        return APGD(threat, cfg.ATTACK.STEPS, random_start=start, resolution=_resolution(cfg))
    return PGD(
        threat=threat,
        steps=replays_of(cfg) if method == "free" else cfg.ATTACK.STEPS,
        step_size=cfg.ATTACK.STEP_SIZE or METHODS[method].usual_step(eps),
        random_start=cfg.ATTACK.RANDOM_START,
        best_iterate=cfg.ATTACK.ITERATE == "best",
        resolution=_resolution(cfg),
    )


def attack_switches(cfg: CfgNode) -> list[Switch]:
    """Return which keys count with which attack of training alone."""
    of_pgd = ("ATTACK.STEP_SIZE", "ATTACK.ITERATE")
    return [Switch(of_pgd, cfg.ATTACK.NAME == "pgd", "ATTACK.NAME pgd")]


def eval_attack(cfg: CfgNode) -> PGD:
    """Return the attack of validation; its eps may be 0, which is no attack."""
    eps = cfg.ATTACK.EPS if cfg.EVAL.EPS < 0 else cfg.EVAL.EPS
    return PGD(
        threat=make_threat(cfg.EVAL.NORM or cfg.ATTACK.NORM, eps),
        steps=cfg.EVAL.STEPS,
        step_size=cfg.EVAL.STEP_SIZE or 2.5 * eps / max(cfg.EVAL.STEPS, 1),
        random_start=True,
        best_iterate=True,
        restarts=cfg.EVAL.RESTARTS,
        resolution=_resolution(cfg),
    )


def eval_attack_words(cfg: CfgNode, images: int) -> str:
    """Say by which attack so many images are validated; empty if by none."""
    attack, eps = eval_attack(cfg), eval_attack(cfg).threat.eps
    if eps == 0:
        return ""
    pixels = f" ({eps * 255:.4g}/255)" if attack.threat.norm == "linf" else ""
    count = min(cfg.EVAL.ADVERSARIAL_IMAGES or images, images)
    return (
        f"PGD, norm {attack.threat.norm}, eps {eps:.6g}{pixels}, {attack.steps} steps of"
        f" {attack.step_size:.4g}, {attack.restarts} restarts, objective {cfg.EVAL.OBJECTIVE}, on"
        f" {count} of {images} images"
    )


def check_attacks(cfg: CfgNode) -> None:
    """Refuse what is no attack, or one in other units.

    Raises:
        UserError: says which key.
    """
    side = cfg.DATA.IMAGE_SIZE
    check_radius(cfg.ATTACK.NORM, cfg.ATTACK.EPS, side, "ATTACK.EPS")
    if cfg.ATTACK.NAME == "pgd":
        check_step(cfg.ATTACK.EPS, cfg.ATTACK.STEP_SIZE, "ATTACK.STEP_SIZE", "ATTACK.EPS")
    norm = cfg.EVAL.NORM or cfg.ATTACK.NORM
    if cfg.EVAL.EPS < 0 and norm != cfg.ATTACK.NORM and cfg.ATTACK.EPS > 0:
        raise UserError(
            f"EVAL.NORM {norm} needs EVAL.EPS: ATTACK.EPS {cfg.ATTACK.EPS:g} is of"
            f" {cfg.ATTACK.NORM}"
        )
    own = cfg.EVAL.EPS >= 0
    check_radius(norm, cfg.EVAL.EPS, side, "EVAL.EPS")
    test = eval_attack(cfg)
    radius = "EVAL.EPS" if own else "ATTACK.EPS"
    check_step(test.threat.eps, cfg.EVAL.STEP_SIZE, "EVAL.STEP_SIZE", radius)


def attack_doubts(cfg: CfgNode, which: Sequence[str] = ("ATTACK", "EVAL")) -> list[str]:
    """Return what speaks against the attacks of a config, though they can be meant.

    Args:
        cfg: a checked pretraining config.
        which: of training and of validation, or one of them.
    """
    found = []
    for name in which:
        attack = train_attack(cfg) if name == "ATTACK" else eval_attack(cfg)
        eps = attack.threat.eps
        own = name == "ATTACK" or cfg.EVAL.EPS >= 0
        found.append(radius_doubt(attack.threat.norm, eps, f"{name}.EPS") if own else "")
        if isinstance(attack, PGD):  # steps of APGD are twice eps
            found.append(step_doubt(eps, attack.step_size, attack.steps, name))
    return [doubt for doubt in found if doubt]


def _resolution(cfg: CfgNode) -> float:
    """The share of a loss that passes in half precision cannot tell.

    A spacing of the type is that of logits, and a small cross-entropy changes by them times its
    value; logits of trained networks are about ten. See ``benchmarks/half_precision.py``.
    """
    dtype = AMP_DTYPES[cfg.TRAIN.PRECISION]
    return 0.0 if dtype is None else _SPACINGS * torch.finfo(dtype).eps
