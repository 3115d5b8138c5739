"""Batch norms of their own for clean images (Xie et al. 2020, AdvProp, section 4)."""

from __future__ import annotations

import copy

import torch
from torch import nn
from torch.func import functional_call
from torch.nn.modules.batchnorm import _BatchNorm

from robust_det.core.errors import UserError
from robust_det.training.world import bare

__all__ = ["CleanNorms"]


class CleanNorms(nn.Module):
    """A second set of a network's batch norms, statistics and affine maps.

    Clean images pass through these, attacked ones through the network's own: which the attack sees,
    which are averaged and validated, and which alone are in the weights that a run leaves.

    Args:
        model: whose norms are copied as they are; add the result to it, so that it is trained.

    Raises:
        UserError: it has none.
    """

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        norms = {name: m for name, m in model.named_modules() if isinstance(m, _BatchNorm)}
        if not norms:
            raise UserError(
                "the network has no batch norm that MODEL.SEPARATE_NORMS could separate; leave it"
                " out"
            )
        self._names = list(norms)
        self.norms = nn.ModuleList(copy.deepcopy(norm) for norm in norms.values())

    def logits(self, network: nn.Module, x: torch.Tensor) -> torch.Tensor:
        """Return what the network, or DDP around it, computes with these norms for its own."""
        prefix = "" if bare(network) is network else "module."
        own = {
            f"{prefix}{name}.{key}": tensor
            for name, norm in zip(self._names, self.norms, strict=True)
            for key, tensor in (*norm.named_parameters(), *norm.named_buffers())
        }
        found: torch.Tensor = functional_call(network, own, (x,))
        return found
