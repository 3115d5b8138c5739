"""Batch norms folded into the convolutions before them, for passes that change no weight.

In eval mode a batch norm is an affine map of each channel, and a convolution followed by one is a
convolution again (Jacob et al. 2018, section 3.2): with s = gamma / sqrt(var + eps),
s * (W x + b - mean) + beta = (s W) x + s * (b - mean) + beta. That saves a pass over the features
in each direction, and the memory of those that the norm keeps for its gradient.
"""

from __future__ import annotations

import contextlib
import copy
import itertools
from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any

import torch
from torch import fx, nn
from torchvision.ops import FrozenBatchNorm2d

from robust_det.core.errors import UserError, reason_of
from robust_det.models.timm_layers import has_activation, traced_as_wholes

__all__ = ["FoldedNorms", "folded_tensors"]

# exactly these: a class derived from one may do more than the convolution or the affine map
_CONVOLUTIONS = (nn.Conv1d, nn.Conv2d, nn.Conv3d)
_NORMS = (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d, nn.SyncBatchNorm, FrozenBatchNorm2d)
_HOOKS = ("_forward_pre_hooks", "_forward_hooks", "_backward_pre_hooks", "_backward_hooks")


class FoldedNorms:
    """Yields a network as it is in eval mode, without parameter gradients, its norms folded.

    Folded is a norm that alone reads the output of a convolution, where each runs once and neither
    has hooks; other norms stay, and so does the activation that some of timm's have behind them.
    Such pairs are found once, by symbolic tracing. What is yielded is a twin of the network: its
    folded weights are computed anew by each call, and let go at its end, so that they take no
    memory while the network is trained; all other tensors are the network's own. The network itself
    is not touched: not its mode, parameters, statistics or hooks, nor what is compiled or wrapped
    around it.

    Args:
        model: a network that :mod:`torch.fx` can trace, or one without batch norms; its modules
            stay the same from now on, their values may change.

    Attributes:
        network: the twin, for instance to compile it; it runs only within a call.
        folded: the names of the folded norms.

    Raises:
        UserError: the network has batch norms and cannot be traced.
    """

    def __init__(self, model: nn.Module) -> None:
        as_is = _sharing_copy(model, {}).eval()
        pairs = _find_pairs(as_is)
        self.network = _sharing_copy(as_is, {norm: _rest(norm) for _, norm in pairs})
        names = {module: name for name, module in as_is.named_modules()}
        self.folded = tuple(names[norm] for _, norm in pairs)
        # each as (the network's, ..., the twin's)
        self._pairs: list[tuple[Any, nn.Module, Any]] = [
            (
                model.get_submodule(names[conv]),
                model.get_submodule(names[norm]),
                self.network.get_submodule(names[conv]),
            )
            for conv, norm in pairs
        ]
        inside = set(itertools.chain.from_iterable(pairs))
        self._others = [
            (model.get_submodule(name), self.network.get_submodule(name))
            for module, name in names.items()
            if module not in inside
        ]

    @contextlib.contextmanager
    def __call__(self) -> Iterator[nn.Module]:
        """Yield the twin with the values that the network has now."""
        try:
            with torch.no_grad():
                self._take_over()
                self._fold()
            yield self.network
        finally:
            for _, _, twin in self._pairs:
                twin.weight = twin.bias = None

    def _take_over(self) -> None:
        for module, twin in self._others:
            for name, parameter in module.named_parameters(recurse=False):
                setattr(twin, name, nn.Parameter(parameter, requires_grad=False))
            for name, buffer in module.named_buffers(recurse=False):
                setattr(twin, name, buffer)

    def _fold(self) -> None:
        for conv, norm, twin in self._pairs:
            weight, bias = folded_tensors(conv, norm)
            for name, value in (("weight", weight), ("bias", bias)):
                fixed = nn.Parameter(value.to(conv.weight.dtype), requires_grad=False)
                setattr(twin, name, fixed)


def folded_tensors(conv: Any, norm: Any) -> tuple[torch.Tensor, torch.Tensor]:
    """Return the weight and the bias of the convolution that computes both.

    Args:
        conv: a convolution of any number of dimensions.
        norm: of its C output channels, with running statistics.
    """
    scale = (norm.running_var + norm.eps).rsqrt()
    if norm.weight is not None:
        scale = scale * norm.weight
    bias = -norm.running_mean * scale
    if norm.bias is not None:
        bias = bias + norm.bias
    if conv.bias is not None:
        bias = bias + scale * conv.bias
    return conv.weight * scale.view(-1, *[1] * (conv.weight.dim() - 1)), bias


def _sharing_copy(model: nn.Module, replaced: Mapping[nn.Module, nn.Module]) -> nn.Module:
    """Copy modules but not tensors and hooks, which both then have, with some modules replaced."""
    shared: list[Any] = [*model.parameters(), *model.buffers()]
    for module in model.modules():
        shared += [hook for name in _HOOKS for hook in getattr(module, name).values()]
    memo: dict[int, Any] = {id(thing): thing for thing in shared}
    memo.update((id(old), new) for old, new in replaced.items())
    return copy.deepcopy(model, memo)


class _Behind(nn.Module):
    """What timm's norm with an activation does once it has normalised."""

    def __init__(self, norm: Any) -> None:
        super().__init__()
        self.drop, self.act = norm.drop, norm.act  # under their names

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.act(self.drop(x))


def _rest(norm: nn.Module) -> nn.Module:
    """Return what is left to do of a norm that is folded."""
    return _Behind(norm) if has_activation(norm) else nn.Identity()


class _Tracer(fx.Tracer):
    def __init__(self) -> None:
        self._wholes, functions = traced_as_wholes()
        super().__init__(autowrap_functions=functions)

    def is_leaf_module(self, module: nn.Module, name: str) -> bool:
        return isinstance(module, (*_NORMS, *self._wholes)) or super().is_leaf_module(module, name)


def _is_norm(module: nn.Module) -> bool:
    return type(module) in _NORMS or has_activation(module)


def _is_convolution(module: nn.Module) -> bool:
    return type(module) in _CONVOLUTIONS


def _find_pairs(network: nn.Module) -> list[tuple[nn.Module, nn.Module]]:
    """Return the convolutions and the norms that can be folded into them, in their order.

    Raises:
        UserError: the network cannot be traced.
    """
    if not any(map(_is_norm, network.modules())):
        return []  # there are networks of attention that cannot be traced, and need not be
    try:
        nodes = list(_Tracer().trace(network).nodes)
    except Exception as error:  # tracing runs the network's code, which may raise anything
        raise UserError(
            f"the norms of a {type(network).__name__} cannot be folded (ATTACK.FOLD_NORMS), for it"
            f" cannot be traced: {reason_of(error)}"
        ) from error
    called = {n: network.get_submodule(str(n.target)) for n in nodes if n.op == "call_module"}
    uses = Counter(called.values())
    # a parameter that is read by other code than its module's
    owners = [str(n.target).rpartition(".")[0] for n in nodes if n.op == "get_attr"]
    uses.update(network.get_submodule(name) for name in owners)

    def runs_once(module: nn.Module) -> bool:
        return uses[module] == 1 and not any(getattr(module, name) for name in _HOOKS)

    pairs = []
    for node, norm in called.items():
        source = node.args[0] if node.args else None
        if not isinstance(source, fx.Node) or source not in called or len(source.users) != 1:
            continue
        conv = called[source]
        if not (_is_convolution(conv) and _is_norm(norm) and runs_once(conv) and runs_once(norm)):
            continue
        # without running statistics a norm takes those of the batch in eval mode too
        if norm.running_var is not None:
            pairs.append((conv, norm))
    return pairs
