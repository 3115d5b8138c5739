"""The stages of a registered network as a network, by torchvision's feature extraction."""

from __future__ import annotations

import copy
import functools
import warnings
from collections.abc import Iterable

from torch import fx, nn
from torchvision.models.feature_extraction import DualGraphModule, create_feature_extractor

from robust_det.core.errors import UserError, reason_of
from robust_det.models.registry import get_architecture
from robust_det.models.stages import empty_network

__all__ = ["extract_features"]


def extract_features(arch: str, network: nn.Module, wanted: Iterable[str]) -> DualGraphModule:
    """Return what computes the wanted stages with a network's own modules.

    Args:
        arch: registry name of the network.
        network: its modules; its mode is that of what is returned.
        wanted: of ``stem`` and ``res2`` .. ``res5``.

    Returns:
        Images (N, 3, H, W) to stages by name; what comes after the last of them is left out.

    Raises:
        UserError: the registry's entry names what the network does not have.
    """
    entry = get_architecture(arch)
    nodes = {"stem": entry.stem, **{stage.name: stage.node for stage in entry.stages}}
    graphs = _graphs(arch, tuple((nodes[name], name) for name in wanted))
    features = DualGraphModule(network, *copy.deepcopy(graphs))
    for graph in (features.train_graph, features.eval_graph):
        graph.owning_module = features  # as purity checks need it
    features.train(network.training)
    return features


@functools.cache  # tracing takes seconds of a deep network, and each copy of a backbone needs it
def _graphs(arch: str, nodes: tuple[tuple[str, str], ...]) -> tuple[fx.Graph, fx.Graph]:
    """Return the graphs of training and of evaluation that end in the named nodes."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # nodes that only training or evaluation has
            traced = create_feature_extractor(empty_network(arch, 1), dict(nodes))
    except ValueError as error:
        raise UserError(f"the registry's entry of {arch}: {reason_of(error)}") from error
    return traced.train_graph, traced.eval_graph
