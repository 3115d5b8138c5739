"""The norm layers of a network, replaced by what ``MODEL.RESNETS.NORM`` names."""

from __future__ import annotations

import math
from collections.abc import Iterable

from detectron2.layers import get_norm
from torch import nn

from robust_det.errors import UserError

__all__ = ["NORMS", "make_norm", "replace_batch_norms"]

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
        values = old.state_dict()
        new.load_state_dict({k: v for k, v in values.items() if k in new.state_dict()})
        parent, _, leaf = name.rpartition(".")
        setattr(network.get_submodule(parent), leaf, new)
