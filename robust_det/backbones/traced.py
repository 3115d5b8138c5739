"""Any other network of torchvision or timm as a Detectron2 backbone: one wrapper around its
features."""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from typing import Any

import torch
from detectron2.modeling import Backbone
from torch import nn
from torchvision.models.feature_extraction import DualGraphModule
from torchvision.ops import StochasticDepth

from robust_det.backbones.measuring import check_order, stage_shapes, takes_any_size
from robust_det.backbones.norms import replace_batch_norms
from robust_det.core.errors import UserError
from robust_det.models import get_architecture
from robust_det.models.features import extract_features
from robust_det.models.stages import empty_network, module_stages
from robust_det.models.timm_layers import STOCHASTIC

__all__ = ["TracedBackbone", "trace_last_stage"]


class TracedBackbone(Backbone):
    """The features of a registered network, as torchvision's feature extraction takes them.

    Args:
        arch: registry name.
        norm: replaces batch norms, as in ``MODEL.RESNETS.NORM``; layer norms stay.
        out_features: stages to return, of ``stem`` and ``res2`` .. ``res5``; stages after the last
            of them are not built.
        freeze_at: number of stages to freeze; 1 is the stem, 2 the stem and res2, and so on.

    Raises:
        UserError: unknown architecture, stage or norm.
    """

    def __init__(
        self,
        arch: str,
        *,
        norm: str = "FrozenBN",
        out_features: Sequence[str] = ("res2", "res3", "res4", "res5"),
        freeze_at: int = 0,
    ) -> None:
        super().__init__()
        self.body = _trace(arch, tuple(out_features), norm)
        self._out_features = list(out_features)
        check_order(arch, self.body)
        self._measure(arch)
        self._freeze(arch, freeze_at)

    def _measure(self, arch: str) -> None:
        features = stage_shapes(arch, self.body.eval())
        self._divides = (
            0 if takes_any_size(self.body) else max(64 // f.shape[2] for f in features.values())
        )
        self.body.train()
        self._out_feature_channels = {name: f.shape[1] for name, f in features.items()}
        self._out_feature_strides = {name: 64 // f.shape[2] for name, f in features.items()}
        for stage in get_architecture(arch).stages:
            if stage.name not in features:
                continue
            shape = self.output_shape()[stage.name]
            if (shape.channels, shape.stride) != (stage.channels, stage.stride):
                raise UserError(
                    f"the registry's entry of {arch}: {stage.name}, '{stage.node}', has"
                    f" {shape.channels} channels at stride {shape.stride}, not {stage.channels} at"
                    f" {stage.stride}"
                )

    def _freeze(self, arch: str, freeze_at: int) -> None:
        modules = dict(self.body.named_modules())
        frozen = ["stem", *(stage.name for stage in get_architecture(arch).stages)]
        frozen = frozen[: max(freeze_at, 0)]
        built = [n for n, s in module_stages(arch).items() if s in frozen and n in modules]
        for name in built:
            for parameter in modules[name].parameters(recurse=False):
                parameter.requires_grad = False
            _leave_nothing_to_chance(modules[name])
        replace_batch_norms(self.body, built, "FrozenBN")

    @property
    def size_divisibility(self) -> int:
        """What Detectron2 pads the sides of images to multiples of; 0 if any side will do."""
        return self._divides

    def forward(self, x: torch.Tensor) -> dict[str, torch.Tensor]:
        """Return the stages by name, (N, C, H / stride, W / stride), of images (N, 3, H, W)."""
        features = self.body(x)
        return {name: features[name] for name in self._out_features}


def _leave_nothing_to_chance(module: nn.Module) -> None:
    """Let a module compute in training what it does in evaluation, if it is of those that differ by
    chance alone."""
    if isinstance(module, (StochasticDepth, nn.modules.dropout._DropoutNd)):
        module.p = 0.0
    elif (rate := STOCHASTIC.get(type(module).__name__)) is not None:
        setattr(module, rate, 0.0)


class _Features(DualGraphModule):
    """The part of a network that computes features.

    torchvision's own copies are in training mode whatever they are copied from, and the graph of a
    deep network exceeds Python's recursion limit when it is pickled. So both are done by tracing
    the network again; hooks of this module itself are lost, as in torchvision's copies.

    Args:
        network: has the modules and the graphs.
        trace: returns the same features with other weights, of ``arguments``.
    """

    def __init__(
        self, network: DualGraphModule, trace: Callable[..., _Features], *arguments: Any
    ) -> None:
        super().__init__(network, network.train_graph, network.eval_graph)
        self._traced_by = (trace, *arguments)

    def __reduce__(self) -> tuple[Any, ...]:
        names = ("training", "_parameters", "_buffers", "_modules")
        return _on_meta, self._traced_by, {name: getattr(self, name) for name in names}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.train(state["training"])  # takes the graph of that mode
        super().__setstate__(state)

    def __deepcopy__(self, memo: dict[int, Any]) -> _Features:
        build, arguments, state = self.__reduce__()
        memo[id(self)] = copied = build(*arguments)
        copied.__setstate__(copy.deepcopy(state, memo))
        return copied


def _on_meta(trace: Callable[..., _Features], *arguments: Any) -> _Features:
    with torch.device("meta"):
        return trace(*arguments)


def _trace(arch: str, wanted: tuple[str, ...], norm: str) -> _Features:
    """Return the network up to the deepest of the wanted stages: images to stages by name."""
    on_meta = torch.empty(0).is_meta
    network = empty_network(arch, 1) if on_meta else get_architecture(arch).build(1)
    traced = extract_features(arch, network, wanted)
    replace_batch_norms(traced, [name for name, _ in traced.named_modules()], norm)
    return _Features(traced, _trace, arch, wanted, norm)


def trace_last_stage(arch: str, norm: str) -> _Features:
    """Return what a registered network computes from res4 to res5, randomly initialised.

    It takes res4 (N, C4, H, W) and returns res5 (N, C5, H / 2, W / 2). Its tensors have the names
    that they have in the whole network.

    Raises:
        UserError: unknown architecture or norm, or a res5 that needs more than res4.
    """
    before, last = (stage.name for stage in get_architecture(arch).stages[-2:])
    network = _trace(arch, (before, last), norm)
    for graph in (network.train_graph, network.eval_graph):
        (image,) = graph.find_nodes(op="placeholder")
        (output,) = graph.find_nodes(op="output")
        stages = output.args[0]
        with graph.inserting_before(image):
            stages[before].replace_all_uses_with(graph.placeholder(before))
        output.args = (stages[last],)
        graph.eliminate_dead_code()
        if image.users:
            raise UserError(f"{last} of {arch} needs more than {before}; use FPN, not C4")
        graph.erase_node(image)
    # a copy of the modules that the graphs still call
    return _Features(network, trace_last_stage, arch, norm)
