"""The norm layers of a network, replaced by what ``MODEL.RESNETS.NORM`` names."""

from __future__ import annotations

import logging
import math
from collections.abc import Container, Iterable, Mapping
from typing import Any

import torch
from detectron2.layers import FrozenBatchNorm2d, get_norm
from torch import nn

from robust_det.core.errors import UserError
from robust_det.models.timm_layers import has_activation

__all__ = [
    "NORMS",
    "FrozenBatchNormAct2d",
    "WithActivation",
    "leave_out_statistics",
    "make_norm",
    "replace_batch_norms",
]

logger = logging.getLogger(__name__)

NORMS = ("FrozenBN", "BN", "SyncBN", "GN")
_REPLACED = (nn.BatchNorm2d, nn.SyncBatchNorm)


class WithActivation(nn.Module):
    """A norm with dropout and activation behind it, as timm has them in one; a mixin."""

    drop: nn.Module
    act: nn.Module

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return the features (N, C, H, W) of ``x``, of the same shape."""
        return self.act(self.drop(super().forward(x)))


class FrozenBatchNormAct2d(WithActivation, FrozenBatchNorm2d):
    """A frozen batch norm, see :class:`WithActivation`."""


class _BatchNormAct2d(WithActivation, nn.BatchNorm2d):
    pass


class _SyncBatchNormAct(WithActivation, nn.SyncBatchNorm):
    pass


class _GroupNormAct(WithActivation, nn.GroupNorm):
    pass


_ACTIVATED: dict[type[nn.Module], type[nn.Module]] = {
    FrozenBatchNorm2d: FrozenBatchNormAct2d,
    nn.BatchNorm2d: _BatchNormAct2d,
    nn.SyncBatchNorm: _SyncBatchNormAct,
    nn.GroupNorm: _GroupNormAct,
}


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

    Raises:
        UserError: unknown kind, or a norm with statistics of its own that is to be frozen and is no
            batch norm of torch's or timm's.
    """
    for name in list(names):
        old: Any = network.get_submodule(name)
        activated = isinstance(old, WithActivation) or has_activation(old)
        if type(old) not in _REPLACED and not activated:
            _refuse_to_freeze(old, name, kind)
            continue
        if isinstance(old, (FrozenBatchNorm2d, nn.GroupNorm)):
            continue  # another's activation, which is as it should be
        new = make_norm(kind, old.num_features)
        new.eps = old.eps  # type: ignore[assignment]
        if hasattr(new, "momentum"):
            new.momentum = old.momentum  # type: ignore[assignment]
        values = old.state_dict()
        new.load_state_dict({k: v for k, v in values.items() if k in new.state_dict()})
        if activated:
            new.drop, new.act = old.drop, old.act
            new.__class__ = _ACTIVATED[type(new)]
        parent, _, leaf = name.rpartition(".")
        setattr(network.get_submodule(parent), leaf, new)


def _refuse_to_freeze(module: nn.Module, name: str, kind: str) -> None:
    """Refuse what FrozenBN does not freeze: statistics would go on changing in training."""
    moves = getattr(module, "running_var", None) is not None
    if moves and kind == "FrozenBN" and not isinstance(module, FrozenBatchNorm2d):
        raise UserError(
            f"{name} is a {type(module).__name__}, of which there is no frozen kind;"
            " use MODEL.RESNETS.NORM BN and MODEL.BACKBONE.FREEZE_AT 0"
        )


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
