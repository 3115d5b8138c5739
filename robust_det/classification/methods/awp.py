"""Adversarial weight perturbation (Wu et al. 2020, section 4)."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable, Iterator

import torch
from torch import nn

from robust_det.training.world import World

__all__ = ["WeightPerturbation"]

_TINY = 1e-12


class WeightPerturbation:
    """Moves the weights to where the loss is higher, for the passes of a step alone.

    Each tensor of two or more dimensions moves along its gradient of ascent by gamma times its own
    norm, in one step; biases and norms stay. The gradient at the moved weights updates the weights
    as they were, which are put back bit for bit.

    Args:
        model: the bare network, in training mode.
        gamma: above 0; the paper's is 5e-3.
        world: the processes whose losses are averaged.
    """

    def __init__(self, model: nn.Module, gamma: float, world: World) -> None:
        self.model, self.gamma, self.world = model, gamma, world

    @contextlib.contextmanager
    def __call__(
        self, passes: int, loss: Callable[[int], torch.Tensor]
    ) -> Iterator[Callable[[], None]]:
        """Move the weights; yield a function that puts them back, before they are updated.

        Args:
            passes: how many the loss is made of.
            loss: returns a pass's part of it, by its number, computed by the bare network.
        """
        weights = [p for p in self.model.parameters() if p.requires_grad and p.dim() > 1]
        ascent = self._ascent(passes, loss, weights)
        before = [weight.detach().clone() for weight in weights]
        moved = True

        @torch.no_grad()
        def put_back() -> None:
            nonlocal moved
            if moved:
                for weight, value in zip(weights, before, strict=True):
                    weight.copy_(value)
            moved = False

        try:
            with torch.no_grad():
                for weight, grad in zip(weights, ascent, strict=True):
                    weight.add_(grad)
            yield put_back
        finally:
            put_back()

    def _ascent(
        self, passes: int, loss: Callable[[int], torch.Tensor], weights: list[nn.Parameter]
    ) -> list[torch.Tensor]:
        """Return by what each of the weights moves."""
        total: list[torch.Tensor] = []
        with _kept(self.model.buffers()):  # the statistics are of the passes that are learnt from
            for number in range(passes):
                grads = torch.autograd.grad(loss(number), weights)
                total = [a + b for a, b in zip(total, grads, strict=True)] if total else [*grads]
        found = []
        for weight, grad in zip(weights, total, strict=True):
            # what overflowed tells no direction
            grad = self.world.sum(grad).nan_to_num_(nan=0.0, posinf=0.0, neginf=0.0)
            length = self.gamma * weight.detach().norm()
            found.append(grad.mul_(length / (grad.norm() + _TINY)))
        return found


@contextlib.contextmanager
def _kept(tensors: Iterable[torch.Tensor]) -> Iterator[None]:
    """Put the values of tensors back at the end."""
    all_of_them = list(tensors)
    values = [tensor.clone() for tensor in all_of_them]
    try:
        yield
    finally:
        with torch.no_grad():
            for tensor, value in zip(all_of_them, values, strict=True):
                tensor.copy_(value)
