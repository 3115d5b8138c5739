"""The optimiser of a classifier's weights."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import torch
from torch import nn

from robust_det.core.config.reading import CfgNode

__all__ = ["build_optimizer", "optimizer_words"]


def build_optimizer(
    cfg: CfgNode, parameters: Sequence[nn.Parameter], groups: Sequence[Mapping[str, Any]] = ()
) -> torch.optim.Optimizer:
    """Build SGD as in the paper, or AdamW (Loshchilov & Hutter 2019).

    Args:
        cfg: of a run; its ``OPTIM``.
        parameters: of the network.
        groups: those of them that learn, with the ``factor`` of their learning rate; all of them by
            default.
    """
    optim = cfg.OPTIM
    found = [dict(group) for group in groups] or [{"params": list(parameters)}]
    if not optim.DECAY_NORMS:
        found = [part for group in found for part in _by_decay(group)]
    if optim.NAME == "adamw":
        return torch.optim.AdamW(
            found, lr=optim.LR, betas=tuple(optim.BETAS), weight_decay=optim.WEIGHT_DECAY
        )
    return torch.optim.SGD(
        found,
        lr=optim.LR,
        momentum=optim.MOMENTUM,
        nesterov=optim.NESTEROV,
        weight_decay=optim.WEIGHT_DECAY,
    )


def _by_decay(group: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """Divide a group into what decays and what does not: norms and biases, of one dimension."""
    decayed = [p for p in group["params"] if p.dim() > 1]
    others = [p for p in group["params"] if p.dim() <= 1]
    if decayed:
        yield {**group, "params": decayed}
    if others:
        yield {**group, "params": others, "weight_decay": 0.0}


def optimizer_words(cfg: CfgNode, optimizer: torch.optim.Optimizer) -> list[str]:
    """Return what should be known of the optimiser at the start of a run, a line each."""
    said, optim = [], cfg.OPTIM
    if not optim.DECAY_NORMS and optim.WEIGHT_DECAY > 0:
        groups = optimizer.param_groups
        every = [p for group in groups for p in group["params"]]
        free = [p for group in groups if not group["weight_decay"] for p in group["params"]]
        said.append(
            f"no weight decay on {len(free)} of {len(every)} tensors, norms and biases:"
            f" {_size(free)} of {_size(every)} weights"
        )
    if optim.NAME == "adamw" and optim.LR > 0.01:
        said.append(f"OPTIM.LR {optim.LR:g} is high for adamw, whose usual rates are near 0.001")
    return said


def _size(parameters: Sequence[nn.Parameter]) -> int:
    return sum(p.numel() for p in parameters)
