"""Which stage of a network its modules and tensors belong to."""

from __future__ import annotations

import functools

from torch import nn

from robust_det.core.errors import UserError
from robust_det.models.building import without_values
from robust_det.models.heads import features_of_head
from robust_det.models.registry import get_architecture

__all__ = ["empty_network", "module_stages", "tensor_shapes", "tensor_stages"]

# the head's width while shapes are looked at; a file says its own
_CLASSES = 1000


def empty_network(arch: str, num_classes: int) -> nn.Module:
    """Build a network on the meta device: shapes without values, see :func:`.without_values`."""
    build = get_architecture(arch).build
    return without_values(lambda: build(num_classes))


@functools.cache
def _anatomy(arch: str) -> tuple[dict[str, tuple[int, ...]], list[str]]:
    """Return the shapes of the tensors and the names of the modules."""
    network, head = empty_network(arch, _CLASSES), get_architecture(arch).head
    modules = dict(network.named_modules())
    if features_of_head(modules.get(head)) is None:
        raise UserError(f"the registry's entry of {arch}: its head '{head}' is no linear layer")
    shapes = {name: tuple(tensor.shape) for name, tensor in network.state_dict().items()}
    return shapes, list(modules)


def tensor_shapes(arch: str) -> dict[str, tuple[int, ...]]:
    """Return the shape of every tensor of an architecture with 1000 classes, in their order."""
    return _anatomy(arch)[0]


@functools.cache
def module_stages(arch: str) -> dict[str, str]:
    """Return the stage of every module: ``stem``, ``res2`` .. ``res5`` or ``head``.

    Networks define their modules in the order in which they run, so what comes up to the module
    that ends a stage is its own or an earlier stage's; a backbone checks that it is so. Of a
    network without stages all before the head is the stem.

    Raises:
        UserError: the registry's entry does not divide the network so.
    """
    architecture = get_architecture(arch)
    _, modules = _anatomy(arch)
    nodes = {"stem": architecture.stem, **{s.name: s.node for s in architecture.stages}}
    ends = {}
    for stage, node in nodes.items():
        inside = [i for i, name in enumerate(modules) if f"{name}.".startswith(f"{node}.")]
        # a call in the forward pass is no module: it comes last
        ends[stage] = inside[-1] if node and inside else len(modules)
    if list(ends.values()) != sorted(ends.values()):
        raise UserError(
            f"the registry's entry of {arch}: its stages {', '.join(nodes.values())} are not"
            " modules of the network in their order"
        )

    def stage_of(name: str, at: int) -> str:
        if architecture.in_head(f"{name}."):
            return "head"
        return next((stage for stage, end in ends.items() if at <= end), "head")

    return {name: stage_of(name, at) for at, name in enumerate(modules)}


@functools.cache
def tensor_stages(arch: str) -> dict[str, str]:
    """Return the stage of every tensor, see :func:`module_stages`.

    Raises:
        UserError: the registry's entry leaves tensors between the stages and the head.
    """
    architecture, modules = get_architecture(arch), module_stages(arch)
    stages = {name: modules[name.rpartition(".")[0]] for name in tensor_shapes(arch)}
    between = [n for n, s in stages.items() if s == "head" and not architecture.in_head(n)]
    if between:
        raise UserError(
            f"the registry's entry of {arch}: {between[0]} is neither in a stage, up to"
            f" '{architecture.stages[-1].node}', nor in the head '{architecture.head}'"
        )
    return stages
