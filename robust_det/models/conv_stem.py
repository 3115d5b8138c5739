"""ConvNeXt with a stem of convolutions in place of patches (Singh, Croce & Hein 2023).

The 4x4 convolution of stride 4 becomes two of 3x3 and stride 2, in larger networks with a third of
stride 1 behind them, each with layer norm and GELU. All else is ConvNeXt's.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from torch import nn
from torchvision.models.convnext import LayerNorm2d

__all__ = ["CONV_STEMS", "conv_stem_convnext"]

# output channels of the stem's convolutions
CONV_STEMS = {
    "convnext_tiny": (48, 96),
    "convnext_small": (48, 96),
    "convnext_base": (64, 96, 128),
}
_EPS = 1e-6  # of all norms of ConvNeXt


def conv_stem_convnext(
    build: Callable[..., nn.Module], widths: Sequence[int], num_classes: int
) -> nn.Module:
    """Build a ConvNeXt with such a stem, randomly initialised as ConvNeXt is.

    Args:
        build: of torchvision's ConvNeXt, whose first stage has as many channels as the stem's last
            convolution.
        widths: output channels of the stem's convolutions; the first two halve the image.
        num_classes: number of logits.

    Returns:
        A network of torchvision's parameter names but for the stem's, ``features.0.0``, ``.1``,
        ``.3``, ...: normalised images (N, 3, H, W) to logits (N, num_classes).
    """
    network = build(num_classes=num_classes)
    layers: list[nn.Module] = []
    for index, width in enumerate(widths):
        inputs = widths[index - 1] if index else 3
        convolution = nn.Conv2d(inputs, width, 3, stride=2 if index < 2 else 1, padding=1)
        nn.init.trunc_normal_(convolution.weight, std=0.02)
        nn.init.zeros_(convolution.get_parameter("bias"))
        layers += [convolution, LayerNorm2d(width, eps=_EPS), nn.GELU()]
    features: Any = network.get_submodule("features")
    features[0] = nn.Sequential(*layers)
    return network
