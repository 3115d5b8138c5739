"""Frozen batch norms folded into the convolutions before them, in training.

A batch norm of fixed statistics is an affine map of each channel, and so is a convolution: with the
norm's scale in its weights and its shift as the bias, the convolution computes both, and neither
pass of training reads and writes the features once more. The scaled weights are made anew in each
pass, so that they follow the optimiser, averaging and loading; gradients flow through the scale to
the convolution's own weights. Nothing is renamed.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from itertools import pairwise
from typing import Any

import torch
from detectron2.layers import Conv2d, FrozenBatchNorm2d
from torch import nn
from torch.fx import Node
from torch.nn import functional as F
from torchvision.models.feature_extraction import DualGraphModule
from torchvision.ops.misc import Conv2dNormActivation

from robust_det.backbones.norms import FrozenBatchNormAct2d, WithActivation
from robust_det.models.folding import folded_tensors

__all__ = ["fold_frozen_norms"]


def _folded(conv: nn.Conv2d, norm: FrozenBatchNorm2d, x: torch.Tensor) -> torch.Tensor:
    """Return what a convolution and a frozen norm compute, in one operation where that is less."""
    # scaling passes over the weights instead of over the features: deep in a network, and on small
    # images, there are more weights. Evaluation has one operation for the norm
    positions = x.shape[0] * x.shape[2] * x.shape[3] / (conv.stride[0] * conv.stride[1])
    if not conv.training or positions < conv.weight[0].numel():
        return FrozenBatchNorm2d.forward(norm, _convolve(conv, x, conv.weight, conv.bias))
    return _convolve(conv, x, *folded_tensors(conv, norm))


def _convolve(
    conv: nn.Conv2d, x: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor | None
) -> torch.Tensor:
    return F.conv2d(x, weight, bias, conv.stride, conv.padding, conv.dilation, conv.groups)


class FoldingConv2d(Conv2d):
    """Detectron2's convolution with a frozen norm, see the module."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return the features (N, C', H', W') of ``x`` (N, C, H, W)."""
        features = _folded(self, self.norm, x)
        return features if self.activation is None else self.activation(features)


class FoldingPlainConv2d(nn.Conv2d):
    """torch's convolution that does the work of the frozen norm after it as well.

    Attributes:
        folded: that norm, whose tensors stay where they were.
    """

    folded: tuple[FrozenBatchNorm2d]  # in a tuple, as a module would be one of its own

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return the features (N, C', H', W') of ``x`` (N, C, H, W)."""
        return _folded(self, self.folded[0], x)


class AbsorbedBatchNorm2d(FrozenBatchNorm2d):
    """A frozen norm whose work the convolution before it does."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return ``x``."""
        return x


class AbsorbedBatchNormAct2d(WithActivation, AbsorbedBatchNorm2d):
    """The same, with an activation behind it that is still its own work."""


_ABSORBED = {
    FrozenBatchNorm2d: AbsorbedBatchNorm2d,
    FrozenBatchNormAct2d: AbsorbedBatchNormAct2d,
}


def fold_frozen_norms(model: nn.Module) -> int:
    """Fold every frozen norm that follows a convolution, in place.

    Args:
        model: of Detectron2's convolutions, which hold their norms, of networks that torchvision
            traced, or of both.

    Returns:
        How many norms are folded.
    """
    count = 0
    for module in list(model.modules()):
        # only the class changes: modules, tensors and their names are what others refer to
        if type(module) is Conv2d and type(module.norm) is FrozenBatchNorm2d:
            module.__class__ = FoldingConv2d
            count += 1
            continue
        pairs: Iterable[tuple[Any, Any]] = ()
        if isinstance(module, DualGraphModule):
            pairs = _pairs_of_graphs(module)
        elif isinstance(module, Conv2dNormActivation):  # which a trace takes as a whole
            pairs = pairwise(module)
        for conv, norm in pairs:
            if _is_plain(conv) and type(norm) in _ABSORBED:
                conv.__class__, norm.__class__ = FoldingPlainConv2d, _ABSORBED[type(norm)]
                conv.folded = (norm,)
                count += 1
    return count


def _is_plain(module: nn.Module) -> bool:
    return type(module) is nn.Conv2d and module.padding_mode == "zeros"


def _pairs_of_graphs(network: DualGraphModule) -> list[tuple[nn.Module, nn.Module]]:
    """Return the modules whose output one other module takes, and nothing else, with that one."""
    modules = dict(network.named_modules())
    of_both = []
    for graph in (network.train_graph, network.eval_graph):
        calls = [node for node in graph.nodes if node.op == "call_module"]
        times = Counter(node.target for node in calls)
        found = {}
        for node in calls:
            before = node.args[0] if node.args else None
            if (
                isinstance(before, Node)
                and before.op == "call_module"
                and len(before.users) == times[node.target] == times[before.target] == 1
            ):
                found[before.target] = node.target
        of_both.append(found.items())
    # not those that only one of the two modes calls so
    return [(modules[a], modules[b]) for a, b in of_both[0] & of_both[1]]
