"""What optimisers share: losses with their gradients, random starts, and masks of images."""

from __future__ import annotations

import torch

from robust_det.attacks.interface import Noise, Objective
from robust_det.attacks.threat import ThreatModel
from robust_det.core.errors import UserError

__all__ = ["as_wide", "ascent", "evaluated", "random_start", "uniform"]


def ascent(objective: Objective, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Return the losses (N,) at ``x`` and their gradients; detached."""
    x = x.detach().requires_grad_(True)
    with torch.enable_grad():
        losses = evaluated(objective, x)
        (grad,) = torch.autograd.grad(losses.sum(), x)
    # what overflowed tells no direction
    return losses.detach(), grad.nan_to_num(nan=0.0, posinf=0.0, neginf=0.0)


def evaluated(objective: Objective, x: torch.Tensor) -> torch.Tensor:
    """Return the losses (N,) at ``x``.

    Raises:
        UserError: the objective does not return one loss an image.
    """
    losses = objective(x)
    if losses.shape != (len(x),):
        raise UserError(
            f"an objective returns one loss an image, ({len(x)},), not {tuple(losses.shape)}"
        )
    return losses


def random_start(threat: ThreatModel, center: torch.Tensor, noise: Noise) -> torch.Tensor:
    """Draw a random start in the threat model around each of the images."""
    if noise is None or isinstance(noise, torch.Generator):
        return threat.random_start(center, noise)
    pairs = zip(center.split(1), noise, strict=True)
    return torch.cat([threat.random_start(image, own) for image, own in pairs])


def uniform(like: torch.Tensor, shape: tuple[int, ...], noise: Noise) -> torch.Tensor:
    """Draw numbers in [0, 1) of a shape for each of the images: (N, *shape)."""
    if noise is None or isinstance(noise, torch.Generator):
        return like.new_empty(len(like), *shape).uniform_(generator=noise)
    pairs = zip(like.split(1), noise, strict=True)
    return torch.stack([image.new_empty(shape).uniform_(generator=own) for image, own in pairs])


def as_wide(mask: torch.Tensor, x: torch.Tensor) -> torch.Tensor:
    """View a mask of images as one of their values."""
    return mask.view(-1, *[1] * (x.dim() - 1))
