"""What of a classifier learns, stage by stage: which parameters at which share of the learning
rate, and which modules rest."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from torch import nn

from robust_det.core.errors import UserError
from robust_det.models import get_architecture
from robust_det.models.stages import module_stages, tensor_stages

__all__ = ["FREEZABLE", "frozen_stages", "resting_modules", "stage_groups"]

# what a key that freezes may be
FREEZABLE = ("none", "stem", "res2", "res3", "res4", "res5")


def frozen_stages(arch: str, last: str, key: str) -> Sequence[str]:
    """Return the stages up to one, from the stem on.

    Args:
        arch: whose stages.
        last: the one; ``none`` is before all.
        key: that says it, for the message.

    Raises:
        UserError: the architecture has no such stage.
    """
    order = _stages(arch)
    if last not in (*order, "none"):
        raise UserError(f"{arch} has no stage {last}; let {key} be none, or stem, all but its head")
    return order[: order.index(last) + 1] if last in order else ()


def stage_groups(
    body: nn.Module, arch: str, frozen: Sequence[str], decay: float
) -> list[Mapping[str, Any]]:
    """Return the parameters that learn, each stage's with the ``factor`` of its learning rate; all
    others need no gradient from now on.

    Args:
        body: the network of a classifier.
        arch: its name.
        frozen: stages that do not learn.
        decay: a stage's learning rate as a share of the next one's; the head's is whole.
    """
    order, stages = _stages(arch), tensor_stages(arch)
    by_stage: dict[str, list[nn.Parameter]] = {stage: [] for stage in order}
    for name, parameter in body.named_parameters():
        parameter.requires_grad_(stages[name] not in frozen)
        by_stage[stages[name]].append(parameter)
    return [
        {"params": by_stage[stage], "factor": decay ** (len(order) - 1 - depth)}
        for depth, stage in enumerate(order)
        if stage not in frozen and by_stage[stage]
    ]


def resting_modules(body: nn.Module, arch: str, frozen: Sequence[str]) -> list[nn.Module]:
    """Return the modules of frozen stages, which are in eval mode while the others are trained.

    Their batch norms keep the statistics that they have, and dropout does nothing.
    """
    stages, modules = module_stages(arch), dict(body.named_modules())
    learning = [name for name in modules if stages[name] not in frozen]
    # what holds a module that learns is not frozen itself
    return [
        module
        for name, module in modules.items()
        if not any(f"{other}.".startswith(f"{name}." if name else "") for other in learning)
    ]


def _stages(arch: str) -> Sequence[str]:
    return ("stem", *(stage.name for stage in get_architecture(arch).stages), "head")
