"""The gradient of a representation, passed through its last ReLU as if that were the identity.

A ReLU that is off has no gradient, so that nothing could turn it on. Engstrom et al. 2019,
"Adversarial Robustness as a Prior for Learned Representations", let the gradient pass
(``fake_relu`` of the `robustness` library).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch.nn import functional as F
from torch.overrides import TorchFunctionMode

__all__ = ["StraightLastReLU"]

_RELUS: tuple[Any, ...] = (F.relu, F.relu_, torch.relu, torch.relu_)
_RELUS = (*_RELUS, torch.Tensor.relu, torch.Tensor.relu_)
_BOUNDED: tuple[Any, ...] = (F.relu6, F.hardtanh, F.hardtanh_)  # nn.ReLU6 calls the second
_OTHERS: tuple[Any, ...] = (
    *(F.gelu, F.silu, F.hardswish, F.hardsigmoid, F.leaky_relu, F.elu, F.mish, F.softplus),
    *(torch.sigmoid, torch.Tensor.sigmoid, torch.Tensor.sigmoid_, torch.tanh, torch.Tensor.tanh),
    *(F.sigmoid, F.tanh, F.softmax, torch.softmax, torch.Tensor.softmax, F.prelu),
)


class _Straight(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: torch.Tensor, low: float, high: float) -> torch.Tensor:
        return x.clamp(low, high)

    @staticmethod
    def backward(ctx: Any, *gradients: torch.Tensor) -> tuple[Any, ...]:
        return gradients[0], None, None


class _Seen(TorchFunctionMode):
    """Notes the activations in the order in which they are called."""

    def __init__(self) -> None:
        super().__init__()
        self.called: list[Any] = []

    def __torch_function__(
        self, func: Any, types: Iterable[type], args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        if func in _RELUS or func in _BOUNDED or func in _OTHERS:
            self.called.append(func)
        return func(*args, **(kwargs or {}))


class _Passing(TorchFunctionMode):
    """Lets gradients pass through one of the activations."""

    def __init__(self, number: int) -> None:
        super().__init__()
        self.left = number

    def __torch_function__(
        self, func: Any, types: Iterable[type], args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        kwargs = kwargs or {}
        if func in _RELUS or func in _BOUNDED or func in _OTHERS:
            self.left -= 1
            if self.left == 0:
                x = args[0] if args else kwargs["input"]
                return _Straight.apply(x, *_range(func, args, kwargs))
        return func(*args, **kwargs)


def _range(func: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[float, float]:
    if func in _RELUS:
        return 0.0, float("inf")
    if func is F.relu6:
        return 0.0, 6.0
    given = dict(zip(("min_val", "max_val"), args[1:3], strict=False)) | kwargs
    return float(given.get("min_val", -1.0)), float(given.get("max_val", 1.0))


class StraightLastReLU:
    """A network whose values are as before, and whose last ReLU passes gradients as they come.

    Args:
        network: images to representations; in evaluation mode.
        example: images that it takes, by which its activations are counted.

    Attributes:
        passes: whether the last activation is a ReLU, with or without an upper bound. Where it is
            another, or there is none, gradients are the network's own.
    """

    def __init__(self, network: Callable[[torch.Tensor], torch.Tensor], example: torch.Tensor):
        self._network = network
        with torch.no_grad(), _Seen() as seen:
            network(example)
        self._number = len(seen.called)
        last = seen.called[-1] if seen.called else None
        self.passes = last in _RELUS or last in _BOUNDED

    def __call__(self, images: torch.Tensor) -> torch.Tensor:
        """Return the representations of images, differentiable."""
        if not self.passes:
            return self._network(images)
        with _Passing(self._number):
            return self._network(images)
