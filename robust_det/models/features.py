"""The stages of a registered network as a network, by torchvision's feature extraction."""

from __future__ import annotations

import copy
import functools
import warnings
from collections.abc import Iterable
from typing import Any

import torch
from torch import fx, nn
from torchvision.models.feature_extraction import DualGraphModule, create_feature_extractor

from robust_det.core.errors import UserError, reason_of
from robust_det.models.registry import get_architecture
from robust_det.models.stages import empty_network
from robust_det.models.timm_layers import traced_as_wholes

__all__ = ["extract_features", "own_features"]

_ADVICE = "it is a classifier, for evaluation and transfer"


def extract_features(arch: str, network: nn.Module, wanted: Iterable[str]) -> DualGraphModule:
    """Return what computes the wanted stages with a network's own modules.

    Args:
        arch: registry name of the network.
        network: its modules; its mode is that of what is returned.
        wanted: of ``stem`` and ``res2`` .. ``res5``.

    Returns:
        Images (N, 3, H, W) to stages by name; what comes after the last of them is left out.

    Raises:
        UserError: it has no stages or cannot be traced, or the registry's entry names what it does
            not have.
    """
    entry = get_architecture(arch)
    entry.require_stages()
    nodes = {"stem": entry.stem, **{stage.name: stage.node for stage in entry.stages}}
    graphs = _graphs(arch, tuple((nodes[name], name) for name in wanted))
    features = DualGraphModule(network, *copy.deepcopy(graphs))
    for graph in (features.train_graph, features.eval_graph):
        graph.owning_module = features  # as purity checks need it
    _keep_out_of_files(features, network)
    features.train(network.training)
    return features


def _keep_out_of_files(features: nn.Module, network: nn.Module) -> None:
    """Let buffers that no file of a network holds stay so: copies of single ones would be held."""
    kept = network.state_dict().keys()
    for name, _ in list(features.named_buffers()):
        owner, _, leaf = name.rpartition(".")
        if name not in kept:
            features.get_submodule(owner)._non_persistent_buffers_set.add(leaf)


class _Done(Exception):
    """The last stage that was asked for has been computed."""


def own_features(arch: str, network: nn.Module, images: torch.Tensor) -> dict[str, torch.Tensor]:
    """Return the stages that a network computes when its own code runs.

    Unlike those of :func:`extract_features`, they do not depend on how the network was traced. A
    stage that ends in a call and no module is traced nevertheless.

    Args:
        arch: registry name of the network.
        network: its head may be without values.
        images: normalised, (N, 3, H, W).
    """
    entry = get_architecture(arch)
    entry.require_stages()
    modules = dict(network.named_modules())
    traced = [stage.name for stage in entry.stages if stage.node not in modules]
    found: dict[str, torch.Tensor] = {}
    if traced:
        found.update(extract_features(arch, network, traced)(images))
    hooked = [stage for stage in entry.stages if stage.node in modules]

    def keep(name: str, features: torch.Tensor) -> None:
        found[name] = features.clone()  # what comes next may work in place
        if name == hooked[-1].name:
            raise _Done

    hooks = [
        modules[stage.node].register_forward_hook(
            lambda module, inputs, features, name=stage.name: keep(name, features)
        )
        for stage in hooked
    ]
    try:
        network(images)
    except _Done:
        pass
    finally:
        for hook in hooks:
            hook.remove()
    return found


@functools.cache  # tracing takes seconds of a deep network, and each copy of a backbone needs it
def _graphs(arch: str, nodes: tuple[tuple[str, str], ...]) -> tuple[fx.Graph, fx.Graph]:
    """Return the graphs of training and of evaluation that end in the named nodes."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # nodes that only training or evaluation has
            traced = create_feature_extractor(
                empty_network(arch, 1), dict(nodes), tracer_kwargs=_tracing()
            )
    except ValueError as error:
        raise UserError(f"the registry's entry of {arch}: {reason_of(error)}") from error
    except Exception as error:  # tracing runs the network's code, which may raise anything
        raise UserError(
            f"{arch} is no backbone, as it cannot be traced: {reason_of(error)}", _ADVICE
        ) from error
    for graph in (traced.train_graph, traced.eval_graph):
        # such values are lost
        if any("_tensor_constant" in str(node.target) for node in graph.find_nodes(op="get_attr")):
            raise UserError(
                f"{arch} is no backbone, as it cannot be traced: it makes tensors when it runs",
                _ADVICE,
            )
    return traced.train_graph, traced.eval_graph


def _tracing() -> dict[str, Any]:
    modules, functions = traced_as_wholes()
    return {"leaf_modules": list(modules), "autowrap_functions": functions}
