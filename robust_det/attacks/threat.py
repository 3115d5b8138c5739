"""Threat models: the ball of allowed perturbations and how to move in it.

Images are (N, ...) in [0, 1], of any number of channels; eps and step sizes are in the same units
(Salman et al. 2020, section 2; Madry et al. 2018).
"""

from __future__ import annotations

from dataclasses import dataclass

import torch

from robust_det.core.errors import UserError, did_you_mean

__all__ = ["NORMS", "L2Ball", "LinfBall", "ThreatModel", "make_threat"]

Size = float | torch.Tensor


def _norms(x: torch.Tensor) -> torch.Tensor:
    # over dims, not a flattened copy: channels_last tensors would be copied
    return torch.linalg.vector_norm(x, dim=tuple(range(1, x.dim())), keepdim=True)


@dataclass(frozen=True)
class ThreatModel:
    """All images within distance ``eps`` of the original, and within [0, 1].

    Args:
        eps: radius, >= 0.
    """

    eps: float

    norm = ""

    def step(self, x: torch.Tensor, grad: torch.Tensor, size: Size) -> torch.Tensor:
        """Move ``x`` by ``size`` along the steepest ascent direction of this norm.

        Args:
            x: (N, ...).
            grad: like ``x``.
            size: of all images, or (N, 1, ...) one an image.
        """
        raise NotImplementedError

    def project(self, x: torch.Tensor, center: torch.Tensor) -> torch.Tensor:
        """Return the point of the ball around ``center``, cut to [0, 1], for ``x``."""
        raise NotImplementedError

    def random_start(self, center: torch.Tensor, noise: torch.Generator | None) -> torch.Tensor:
        """Draw a random start in the ball around ``center``, cut to [0, 1]."""
        raise NotImplementedError

    def distance(self, x: torch.Tensor, center: torch.Tensor) -> torch.Tensor:
        """Return how far images ``x`` (N, ...) are from ``center``, by this norm: (N,)."""
        order = torch.inf if self.norm == "linf" else 2
        dims = tuple(range(1, x.dim()))
        return torch.linalg.vector_norm(x - center, order, dim=dims)

    def holds(self, x: torch.Tensor, center: torch.Tensor) -> torch.Tensor:
        """Return which of images ``x`` (N, ...) are in the ball and in [0, 1], but for rounding."""
        boxed = ((x >= 0) & (x <= 1)).flatten(1).all(1)
        return boxed & (self.distance(x, center) <= self.eps * (1 + 1e-5) + 1e-6)


@dataclass(frozen=True)
class L2Ball(ThreatModel):
    """The L2 ball."""

    norm = "l2"

    def step(self, x: torch.Tensor, grad: torch.Tensor, size: Size) -> torch.Tensor:
        return x + grad * (size / (_norms(grad) + 1e-10))

    def project(self, x: torch.Tensor, center: torch.Tensor) -> torch.Tensor:
        delta = x - center
        scale = (self.eps / (_norms(delta) + 1e-7)).clamp_(max=1.0)
        return delta.mul_(scale).add_(center).clamp_(0, 1)

    def random_start(self, center: torch.Tensor, noise: torch.Generator | None) -> torch.Tensor:
        # a random direction at full radius, as in the `robustness` library
        direction = torch.empty_like(center).normal_(generator=noise)
        return direction.mul_(self.eps / (_norms(direction) + 1e-10)).add_(center).clamp_(0, 1)


@dataclass(frozen=True)
class LinfBall(ThreatModel):
    """The L-infinity ball."""

    norm = "linf"

    def step(self, x: torch.Tensor, grad: torch.Tensor, size: Size) -> torch.Tensor:
        return x + grad.sign().mul_(size)

    def project(self, x: torch.Tensor, center: torch.Tensor) -> torch.Tensor:
        return (x - center).clamp_(-self.eps, self.eps).add_(center).clamp_(0, 1)

    def random_start(self, center: torch.Tensor, noise: torch.Generator | None) -> torch.Tensor:
        delta = torch.empty_like(center).uniform_(-self.eps, self.eps, generator=noise)
        return delta.add_(center).clamp_(0, 1)


NORMS: dict[str, type[ThreatModel]] = {"l2": L2Ball, "linf": LinfBall}


def make_threat(norm: str, eps: float) -> ThreatModel:
    """Build a threat model.

    Args:
        norm: ``"l2"`` or ``"linf"``.
        eps: radius in [0, 1] pixel units, >= 0.

    Raises:
        UserError: unknown norm, or a negative or non-finite eps.
    """
    if norm not in NORMS:
        raise UserError(f"unknown norm '{norm}'{did_you_mean(norm, NORMS)} (known: l2, linf)")
    if not 0 <= eps < float("inf"):
        raise UserError(f"eps must be a number >= 0 in [0, 1] pixel units, not {eps}")
    return NORMS[norm](eps)
