"""Networks whose tensors have shapes, but no values yet."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import nn
from torch.overrides import TorchFunctionMode

__all__ = ["without_values"]

# the methods of a tensor by which torch.nn.init fills it
_FILLS = ("normal_", "uniform_", "fill_", "zero_", "erfinv_", "clamp_", "mul_", "add_")


class _Uninitialised(TorchFunctionMode):
    """Leaves parameters as they are allocated: filling them takes a third of the time of building a
    network, and a file is to say what they hold. Whatever else a constructor computes is kept."""

    def __torch_function__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        fills = getattr(func, "__name__", "") in _FILLS
        if fills and args and isinstance(args[0], nn.Parameter):
            return args[0]
        return func(*args, **(kwargs or {}))


def without_values(build: Callable[[], nn.Module]) -> nn.Module:
    """Build a network whose parameters, and what else its files hold, are on the meta device.

    What no file holds, such as the filters of anti-aliasing, is computed and stays on the CPU.
    """
    with _Uninitialised():
        try:
            with torch.device("meta"):
                network = build()
        except RuntimeError:
            network = None  # it computes with tensors that have no values there, as RegNet does
        if network is None or _computes(network):
            with torch.device("cpu"):
                network = build()
            _empty(network)
    return network


def _computes(network: nn.Module) -> bool:
    """Whether a network has tensors that no file holds."""
    kept = network.state_dict().keys()
    return any(name not in kept for name, _ in network.named_buffers())


def _empty(network: nn.Module) -> None:
    """Move to the meta device what files hold."""
    for module in network.modules():
        for name, parameter in module._parameters.items():
            if parameter is not None:
                module._parameters[name] = nn.Parameter(
                    parameter.detach().to("meta"), parameter.requires_grad
                )
        for name, buffer in module._buffers.items():
            if buffer is not None and name not in module._non_persistent_buffers_set:
                module._buffers[name] = buffer.to("meta")
