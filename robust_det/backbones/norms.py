"""The norm layers of a network, replaced by what ``MODEL.RESNETS.NORM`` names."""

from __future__ import annotations

import logging
import math
from collections.abc import Container, Iterable, Mapping
from typing import Any

from detectron2.layers import get_norm
from torch import nn

from robust_det.core.errors import UserError

__all__ = ["NORMS", "leave_out_statistics", "make_norm", "replace_batch_norms"]

logger = logging.getLogger(__name__)

NORMS = ("FrozenBN", "BN", "SyncBN", "GN")


def make_norm(kind: str, channels: int) -> nn.Module:
    """Return a norm layer of Detectron2.

    GN has 32 groups, as the paper of group normalisation, or as many as divide the channels:
    mobile networks have layers of 16 or 24.

    Raises:
        UserError: unknown kind.
    """
    if kind not in NORMS:
        raise UserError(f"unknown norm '{kind}' (MODEL.RESNETS.NORM); use {', '.join(NORMS)}")
    if kind == "GN":
        return nn.GroupNorm(math.gcd(32, channels), channels)
    return get_norm(kind, channels)


def replace_batch_norms(network: nn.Module, names: Iterable[str], kind: str) -> None:
    """Replace modules that are batch norms, taking over their values.

    Args:
        network: changed in place.
        names: of its modules; those that are other than batch norms stay.
        kind: one of :data:`NORMS`.
    """
    for name in names:
        old = network.get_submodule(name)
        if not isinstance(old, (nn.BatchNorm2d, nn.SyncBatchNorm)):
            continue
        new = make_norm(kind, old.num_features)
        new.eps = old.eps  # type: ignore[assignment]
        if hasattr(new, "momentum"):
            new.momentum = old.momentum  # type: ignore[assignment]
        values = old.state_dict()
        new.load_state_dict({k: v for k, v in values.items() if k in new.state_dict()})
        parent, _, leaf = name.rpartition(".")
        setattr(network.get_submodule(parent), leaf, new)


def leave_out_statistics(weights: Mapping[str, Any], own: Container[str]) -> dict[str, Any]:
    """Return a backbone's weights without the statistics of batch norms that have become group
    norms, and warn if there were any.

    Args:
        weights: tensors by their names in the network.
        own: the names of the network's tensors.
    """

    def is_lost(name: str) -> bool:
        norm, _, leaf = name.rpartition(".")
        statistic = leaf in ("running_mean", "running_var")
        return statistic and name not in own and f"{norm}.weight" in own

    kept = {name: tensor for name, tensor in weights.items() if not is_lost(name)}
    if lost := len(weights) - len(kept):
        logger.warning(
            f"MODEL.RESNETS.NORM has no running statistics, so {lost} statistics of batch norms are"
            " left out: the features are no longer the backbone's"
        )
    return kept
