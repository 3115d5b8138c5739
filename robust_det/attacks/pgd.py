"""Projected gradient descent (Madry et al. 2018), as Salman et al. 2020 train and test with it."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import nn
from torch.nn import functional as F

from robust_det.attacks.threat import ThreatModel

__all__ = ["PGD", "frozen_for_attack"]

# keeps the input gradients of a half precision network above fp16's smallest number
_FP16_LOSS_SCALE = 1024.0


@contextlib.contextmanager
def frozen_for_attack(model: nn.Module) -> Iterator[None]:
    """Put ``model`` in eval mode with no parameter gradients, and restore it as it was."""
    training = [module for module in model.modules() if module.training]
    trainable = [p for p in model.parameters() if p.requires_grad]
    model.eval()
    for p in trainable:
        p.requires_grad_(False)
    try:
        yield
    finally:
        for module in training:
            module.training = True
        for p in trainable:
            p.requires_grad_(True)


@dataclass(frozen=True)
class PGD:
    """An untargeted PGD attack on the cross-entropy loss.

    Args:
        threat: the ball to stay in.
        steps: gradient steps, >= 0; each costs a forward and an input-gradient pass.
        step_size: in [0, 1] pixel units.
        random_start: start from a random point of the ball instead of the image.
        best_iterate: return, per image, the iterate of the highest loss instead of the last one
            (``use_best`` of the `robustness` library); costs one more forward pass.
        amp_dtype: autocast the network to this type; None for its own precision.
    """

    threat: ThreatModel
    steps: int
    step_size: float
    random_start: bool = False
    best_iterate: bool = False
    amp_dtype: torch.dtype | None = None

    def __call__(
        self,
        model: nn.Module,
        images: torch.Tensor,
        targets: torch.Tensor,
        noise: torch.Generator | None = None,
        start: torch.Tensor | None = None,
    ) -> torch.Tensor:
        """Return adversarial examples.

        Args:
            model: takes images in [0, 1], returns logits; attacked in eval mode, and left in the
                mode it came in.
            images: (N, 3, H, W) float in [0, 1].
            targets: (N,) true classes.
            noise: the source of random starts; the global one by default.
            start: (N, 3, H, W) where to start, a point of the ball; by default the image, or a
                random one with ``random_start``.

        Returns:
            (N, 3, H, W) in [0, 1], within ``threat.eps`` of ``images``; detached.
        """
        center = images.detach()
        if self.threat.eps == 0:
            return center
        x = center if start is None else start.detach()
        if start is None and self.random_start:
            x = self.threat.random_start(center, noise)
        if self.steps == 0:
            return x
        best, best_losses = x, None
        scale = _FP16_LOSS_SCALE if self.amp_dtype == torch.float16 else 1.0

        with frozen_for_attack(model), torch.enable_grad():
            for _ in range(self.steps):
                x = x.detach().requires_grad_(True)
                losses = self._losses(model, x, targets)
                (grad,) = torch.autograd.grad(losses.sum() * scale, x)
                if scale != 1.0:
                    # what overflowed even so tells no direction
                    grad = grad.nan_to_num(nan=0.0, posinf=0.0, neginf=0.0)
                with torch.no_grad():
                    if self.best_iterate:
                        best, best_losses = _keep_best(x, losses, best, best_losses)
                    x = self.threat.project(self.threat.step(x, grad, self.step_size), center)
            if not self.best_iterate:
                return x.detach()
            with torch.no_grad():
                losses = self._losses(model, x, targets)
                return _keep_best(x, losses, best, best_losses)[0].detach()

    def _losses(self, model: nn.Module, x: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        enabled = self.amp_dtype is not None
        with torch.autocast(x.device.type, dtype=self.amp_dtype, enabled=enabled):
            logits = model(x)
        return F.cross_entropy(logits.float(), targets, reduction="none")


def _keep_best(
    x: torch.Tensor, losses: torch.Tensor, best: torch.Tensor, best_losses: torch.Tensor | None
) -> tuple[torch.Tensor, torch.Tensor]:
    if best_losses is None:
        return x.detach(), losses.detach()
    better = losses > best_losses
    mask = better.view(-1, *[1] * (x.dim() - 1))
    return torch.where(mask, x.detach(), best), torch.where(better, losses, best_losses)
