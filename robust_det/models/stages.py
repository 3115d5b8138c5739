"""Which stage of a network a tensor belongs to."""

from __future__ import annotations

import functools
from typing import Any

import torch
from torch import nn
from torch.overrides import TorchFunctionMode

from robust_det.models.registry import get_architecture

__all__ = ["empty_network", "tensor_shapes", "tensor_stages"]

# the head's width while shapes are looked at; a file says its own
_CLASSES = 1000


# the methods of a tensor by which torch.nn.init fills it
_FILLS = ("normal_", "uniform_", "fill_", "zero_", "erfinv_", "clamp_", "mul_", "add_")


class _Uninitialised(TorchFunctionMode):
    """Skips the initialisation of weights, which takes most of the time of building a network."""

    def __torch_function__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        if getattr(func, "__name__", "") in _FILLS and args:
            return args[0]
        return func(*args, **(kwargs or {}))


def empty_network(arch: str, num_classes: int) -> nn.Module:
    """Build a network on the meta device: shapes without values."""
    with torch.device("meta"), _Uninitialised():
        return get_architecture(arch).build(num_classes)


@functools.cache
def _anatomy(arch: str) -> tuple[dict[str, tuple[int, ...]], list[str]]:
    """Return the shapes of the tensors and the names of the modules."""
    network = empty_network(arch, _CLASSES)
    shapes = {name: tuple(tensor.shape) for name, tensor in network.state_dict().items()}
    return shapes, [name for name, _ in network.named_modules()]


def tensor_shapes(arch: str) -> dict[str, tuple[int, ...]]:
    """Return the shape of every tensor of an architecture with 1000 classes, in their order."""
    return _anatomy(arch)[0]


@functools.cache
def tensor_stages(arch: str) -> dict[str, str]:
    """Return the stage of every tensor: ``stem``, ``res2`` .. ``res5`` or ``head``.

    torchvision's networks define their modules in the order in which they run, so what comes up to
    the module that ends a stage is its own or an earlier stage's.
    """
    architecture = get_architecture(arch)
    _, modules = _anatomy(arch)
    ends = []
    for node in (architecture.stem, *(stage.node for stage in architecture.stages)):
        inside = [i for i, name in enumerate(modules) if f"{name}.".startswith(f"{node}.")]
        # a call in the forward pass is no module: it comes last
        ends.append(inside[-1] if inside else len(modules))
    labels = ["stem", *(stage.name for stage in architecture.stages)]
    stages = {}
    for name in tensor_shapes(arch):
        if architecture.in_head(name):
            stages[name] = "head"
            continue
        at = modules.index(name.rpartition(".")[0])
        stages[name] = next(label for label, end in zip(labels, ends, strict=True) if at <= end)
    return stages
