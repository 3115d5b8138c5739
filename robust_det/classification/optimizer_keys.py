"""The keys of optimiser and schedule: which exclude each other, and which count when."""

from __future__ import annotations

from itertools import pairwise

from robust_det.core.config.idle import Switch
from robust_det.core.config.reading import CfgNode
from robust_det.core.errors import UserError

__all__ = ["OPTIMIZERS", "check_layer_decay", "check_optimizer", "optimizer_switches"]

OPTIMIZERS = ("sgd", "adamw")
_STEPWISE = ("step", "multistep")


def check_optimizer(cfg: CfgNode) -> None:
    """Refuse values of optimiser and schedule that cannot be, or contradict each other.

    Args:
        cfg: with one learning rate and one weight decay.

    Raises:
        UserError: says which keys.
    """
    optim = cfg.OPTIM
    if optim.NAME == "sgd" and optim.NESTEROV and optim.MOMENTUM == 0:
        raise UserError("OPTIM.NESTEROV needs OPTIM.MOMENTUM above 0")
    if len(optim.BETAS) != 2 or not all(0 <= beta < 1 for beta in optim.BETAS):
        raise UserError(f"OPTIM.BETAS needs two numbers in [0, 1), not {optim.BETAS}")
    if optim.WARMUP_EPOCHS >= cfg.TRAIN.EPOCHS:
        raise UserError("OPTIM.WARMUP_EPOCHS must be below TRAIN.EPOCHS")
    if optim.GAMMA > 1:
        raise UserError(
            f"OPTIM.GAMMA {optim.GAMMA:g} raises the learning rate at each drop; a drop to a"
            " tenth is 0.1"
        )
    if optim.SCHEDULE == "multistep":
        _check_milestones(optim.MILESTONES, cfg.TRAIN.EPOCHS)
    if optim.LR * optim.WEIGHT_DECAY >= 1:
        raise UserError(
            f"OPTIM.LR {optim.LR:g} times OPTIM.WEIGHT_DECAY {optim.WEIGHT_DECAY:g} takes"
            " away all of a weight at once; lower OPTIM.LR or OPTIM.WEIGHT_DECAY"
        )


def _check_milestones(milestones: list[int], epochs: int) -> None:
    if not milestones:
        raise UserError(
            "OPTIM.SCHEDULE multistep needs OPTIM.MILESTONES, the epochs after which the learning"
            ' rate drops, such as "[30, 60]"; drops at equal distances are OPTIM.SCHEDULE step'
        )
    whole = all(type(epoch) is int for epoch in milestones)
    if not whole or milestones[0] < 1 or any(a >= b for a, b in pairwise(milestones)):
        raise UserError(
            f"OPTIM.MILESTONES needs rising whole numbers of epochs from 1 on, not {milestones}"
        )
    if milestones[-1] >= epochs:
        raise UserError(
            f"OPTIM.MILESTONES {milestones} must be below TRAIN.EPOCHS {epochs}: a drop at"
            f" {milestones[-1]} would come after the end"
        )


def check_layer_decay(key: str, value: float) -> None:
    """Refuse a share of the next stage's learning rate that is more than all of it.

    Args:
        key, value: of the config.

    Raises:
        UserError: it is above 1.
    """
    if value > 1:
        raise UserError(
            f"{key} {value:g} trains lower stages faster than upper ones; give 1 or less"
        )


def optimizer_switches(cfg: CfgNode, decays: bool) -> list[Switch]:
    """Return which keys count with which optimisers and schedules alone.

    Args:
        cfg: of pretraining or transfer.
        decays: whether any weight decay is tried.
    """
    name, schedule = cfg.OPTIM.NAME, cfg.OPTIM.SCHEDULE
    stepwise = schedule in _STEPWISE
    return [
        Switch(("OPTIM.MOMENTUM", "OPTIM.NESTEROV"), name == "sgd", "OPTIM.NAME sgd"),
        Switch(("OPTIM.BETAS",), name == "adamw", "OPTIM.NAME adamw"),
        Switch(("OPTIM.DECAY_NORMS",), decays, "OPTIM.WEIGHT_DECAY above 0"),
        Switch(("OPTIM.STEP_EPOCHS",), schedule == "step", "OPTIM.SCHEDULE step"),
        Switch(("OPTIM.MILESTONES",), schedule == "multistep", "OPTIM.SCHEDULE multistep"),
        Switch(("OPTIM.GAMMA",), stepwise, "OPTIM.SCHEDULE step or multistep"),
    ]
