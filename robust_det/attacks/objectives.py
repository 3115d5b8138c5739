"""Named objectives of attacks on classifiers, and what makes one an objective of the image."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import nn
from torch.nn import functional as F

from robust_det.attacks.interface import Objective
from robust_det.core.device import autocast
from robust_det.core.errors import UserError, did_you_mean

__all__ = [
    "OBJECTIVES",
    "LogitLoss",
    "classifier_objective",
    "count_not_finite",
    "get_objective",
    "lead",
]

# logits (N, K), true classes (N,), and classes to be taken for (N,) or None -> losses (N,); the
# cross-entropy takes probabilities of classes (N, K) as well
LogitLoss = Callable[[torch.Tensor, torch.Tensor, torch.Tensor | None], torch.Tensor]

# keeps the input gradients of a half precision network above fp16's smallest number
_FP16_LOSS_SCALE = 1024.0


def cross_entropy(
    logits: torch.Tensor, targets: torch.Tensor, towards: torch.Tensor | None = None
) -> torch.Tensor:
    """The cross-entropy of the true class, or with soft targets; targeted, the negative one of the
    class aimed at."""
    if towards is not None:
        return -F.cross_entropy(logits, towards, reduction="none")
    return F.cross_entropy(logits, targets, reduction="none")


def margin(
    logits: torch.Tensor, targets: torch.Tensor, towards: torch.Tensor | None = None
) -> torch.Tensor:
    """The largest other logit minus the true one (Carlini & Wagner 2017, f6 without its bound).

    Targeted, the logit of the class aimed at minus the largest other one. Above 0 the attack has
    succeeded.
    """
    wanted = targets if towards is None else towards
    ahead = _of(logits, wanted) - _largest_other(logits, wanted)
    return -ahead if towards is None else ahead


def dlr(
    logits: torch.Tensor, targets: torch.Tensor, towards: torch.Tensor | None = None
) -> torch.Tensor:
    """The difference of logits ratio (Croce & Hein 2020, equations 6 and 7): the margin, free of
    the logits' scale.

    Raises:
        UserError: fewer than 3 classes, or 4 if targeted.
    """
    needed = 3 if towards is None else 4
    if logits.shape[1] < needed:
        raise UserError(
            f"objective 'dlr' needs {needed} classes{' if targeted' if needed == 4 else ''}, not"
            f" {logits.shape[1]}; use margin"
        )
    z = logits.topk(needed, dim=1).values
    if towards is None:
        return margin(logits, targets) / (z[:, 0] - z[:, 2] + 1e-12)
    return lead(logits, targets, towards) / (z[:, 0] - (z[:, 2] + z[:, 3]) / 2 + 1e-12)


def lead(
    logits: torch.Tensor, targets: torch.Tensor, towards: torch.Tensor | None = None
) -> torch.Tensor:
    """The logit of the class aimed at minus the true one; untargeted, the margin.

    0 is the boundary between the two classes alone, to which minimum distance attacks project.
    """
    if towards is None:
        return margin(logits, targets)
    return _of(logits, towards) - _of(logits, targets)


OBJECTIVES: dict[str, LogitLoss] = {
    "cross_entropy": cross_entropy,
    "margin": margin,
    "dlr": dlr,
}


def get_objective(name: str) -> LogitLoss:
    """Return the objective of that name.

    Raises:
        UserError: the name is unknown.
    """
    if name not in OBJECTIVES:
        hint = did_you_mean(name, OBJECTIVES)
        raise UserError(f"unknown objective '{name}'{hint} (known: {', '.join(OBJECTIVES)})")
    return OBJECTIVES[name]


def classifier_objective(
    network: nn.Module,
    targets: torch.Tensor,
    name: str | LogitLoss = "cross_entropy",
    *,
    towards: torch.Tensor | None = None,
    amp_dtype: torch.dtype | None = None,
    overflows: torch.Tensor | None = None,
) -> Objective:
    """Return a loss of a classifier's logits as an objective of the image.

    Args:
        network: takes images (N, C, H, W) in [0, 1], returns logits (N, K); in the mode it is in,
            which :func:`robust_det.attacks.frozen` sets.
        targets: (N,) true classes; of the cross-entropy also (N, K) probabilities of them.
        name: one of :data:`OBJECTIVES`, or a loss of logits like them.
        towards: (N,) classes to be taken for, other than the true ones; None is untargeted.
        amp_dtype: autocast the network to this type; None for its own precision. With float16 the
            losses are 1,024 times as large, or small gradients would be 0.
        overflows: a whole number on the device, to which is added how often an image's logits were
            not finite: they tell an attack no direction, and it goes on as if it had been weaker.

    Raises:
        UserError: the name is unknown, or a class aimed at is the true one.
    """
    loss = get_objective(name) if isinstance(name, str) else name
    if towards is not None and bool((towards == targets).any()):
        raise UserError("a targeted attack needs classes other than the true ones in 'towards'")
    scale = _FP16_LOSS_SCALE if amp_dtype == torch.float16 else 1.0

    def objective(x: torch.Tensor) -> torch.Tensor:
        with autocast(x.device, amp_dtype):
            logits = network(x)
        if overflows is not None:
            overflows.add_(count_not_finite(logits))
        losses = loss(logits.float(), targets, towards)
        return losses if scale == 1.0 else losses * scale

    return objective


def count_not_finite(logits: torch.Tensor) -> torch.Tensor:
    """Return how many images have logits (N, K) that are NaN or infinite, on the device."""
    return (~logits.detach().isfinite().all(1)).sum()


def _of(logits: torch.Tensor, classes: torch.Tensor) -> torch.Tensor:
    return logits.gather(1, classes[:, None]).squeeze(1)


def _largest_other(logits: torch.Tensor, classes: torch.Tensor) -> torch.Tensor:
    return logits.scatter(1, classes[:, None], -torch.inf).amax(1)
