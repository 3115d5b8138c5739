"""Which stage of a network a tensor belongs to."""

from __future__ import annotations

import functools

import torch

from robust_det.models.registry import get_architecture

__all__ = ["tensor_shapes", "tensor_stages"]

# the head's width while shapes are looked at; a file says its own
_CLASSES = 1000


@functools.cache
def tensor_shapes(arch: str) -> dict[str, tuple[int, ...]]:
    """Return the shape of every tensor of an architecture with 1000 classes, in their order."""
    with torch.device("meta"):
        state = get_architecture(arch).build(_CLASSES).state_dict()
    return {name: tuple(tensor.shape) for name, tensor in state.items()}


@functools.cache
def tensor_stages(arch: str) -> dict[str, str]:
    """Return the stage of every tensor: ``stem``, ``res2`` .. ``res5`` or ``head``.

    torchvision's networks define their modules in the order in which they run, so what comes up to
    the module that ends a stage is its own or an earlier stage's.
    """
    architecture = get_architecture(arch)
    with torch.device("meta"):
        modules = [name for name, _ in architecture.build(_CLASSES).named_modules()]
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
