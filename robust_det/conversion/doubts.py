"""What a network's own batch norms say against what was made of it.

Names and shapes do not show an activation, a filter before a stride, or the range of images. But
each batch norm remembers the mean and variance of what it saw in training. Photographs, run through
the network as it was understood, should make about the same.
"""

from __future__ import annotations

import math
from collections.abc import Iterator

import torch
from torch import nn

from robust_det.checkpoints.model import Model
from robust_det.data.samples import photographs
from robust_det.models import Normalize, get_architecture
from robust_det.models.features import extract_features

__all__ = ["deviation", "doubts"]

# Random networks with true statistics are at 0.22 to 0.34; with SiLU in place of ReLU at 0.6 to
# 1.8, with images of another range far above. Trained on drawn shapes alone, networks are at 0.36
# and 0.53: photographs are new to them.
_USUAL = 0.6
# With GELU in place of ReLU they are at 0.35 to 0.44, which alone says nothing; but then GELU makes
# 0.6 of it, and 1.0 where ReLU is right (0.73 and 0.78 in those that photographs are new to).
_BETTER = 0.67


def doubts(model: Model) -> list[str]:
    """Say so if the statistics of batch norms speak against a network that was told from names.

    Args:
        model: with the mean and std that are to be used.
    """
    if model.described or not get_architecture(model.arch).stages:
        return []
    network, images = _understood(model)
    with_relu = _deviation(network, images)
    if with_relu is None or not math.isfinite(with_relu):
        return []
    if with_relu > _USUAL:
        return [
            "the running statistics of its batch norms are not those of photographs (they are"
            f" {with_relu:.2g} off on average, usual is under {_USUAL:g}): if it was trained on"
            " photographs, it is another network than its names say, or takes other images (see"
            " README)"
        ]
    _replace_relus(network, nn.GELU())
    with_gelu = _deviation(network, images)
    if with_gelu is not None and with_gelu < _BETTER * with_relu:
        return [
            "the running statistics of its batch norms are rather those of a network with GELU in"
            f" place of ReLU ({with_gelu:.2g} off on average, not {with_relu:.2g}), which names do"
            " not show"
        ]
    return []


def deviation(model: Model) -> float | None:
    """Return how far what batch norms see of photographs is from what they saw in training.

    Args:
        model: the network and its normalisation.

    Returns:
        The mean over norms and their channels of half the difference of means, in standard
        deviations, and half the difference of the logarithms of the standard deviations; None
        without norms that have seen an image, or of a network without stages.
    """
    if not get_architecture(model.arch).stages:
        return None
    return _deviation(*_understood(model))


def _understood(model: Model) -> tuple[nn.Module, torch.Tensor]:
    """Return the network up to its last stage, and what photographs are to it."""
    last = get_architecture(model.arch).stages[-1]
    network = extract_features(model.arch, model.body(), [last.name])
    return network, Normalize(model.mean, model.std)(photographs())


@torch.no_grad()
def _deviation(network: nn.Module, images: torch.Tensor) -> float | None:
    found: list[float] = []

    def look(norm: nn.BatchNorm2d, inputs: tuple[torch.Tensor]) -> None:
        found.append(_off(norm, inputs[0]))

    hooks = [norm.register_forward_pre_hook(look) for norm in _used_norms(network)]
    network(images)
    for hook in hooks:
        hook.remove()
    return sum(found) / len(found) if found else None


def _used_norms(network: nn.Module) -> Iterator[nn.BatchNorm2d]:
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d) and module.running_mean is not None:
            assert module.running_var is not None
            if module.running_mean.any() or (module.running_var != 1).any():
                yield module


def _off(norm: nn.BatchNorm2d, features: torch.Tensor) -> float:
    assert norm.running_mean is not None and norm.running_var is not None
    var, mean = torch.var_mean(features, (0, 2, 3), correction=0)
    usual = norm.running_var + norm.eps
    shift = (mean - norm.running_mean).abs() / usual.sqrt()
    spread = ((var + norm.eps) / usual).log().abs() / 2
    return float((shift + spread).mean()) / 2


def _replace_relus(module: nn.Module, activation: nn.Module) -> None:
    for name, inner in module.named_children():
        if isinstance(inner, (nn.ReLU, nn.ReLU6)):
            setattr(module, name, activation)
        _replace_relus(inner, activation)
