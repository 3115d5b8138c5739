"""Colour jitter of one image's bytes, in one pass instead of one an adjustment."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torchvision.transforms import v2

__all__ = ["adjust_colours", "jitter_colours"]

_GREY = (0.2989, 0.587, 0.114)  # luma of RGB as torchvision has it, by ITU-R BT.601
_BRIGHTNESS, _CONTRAST, _SATURATION = range(3)  # as ColorJitter numbers them; 3 is hue


def jitter_colours(image: torch.Tensor, strength: float) -> torch.Tensor:
    """Change brightness, contrast and saturation at random, each by up to ``strength``.

    Order and factors are what ``ColorJitter(strength, strength, strength)`` draws from torch's
    generator.

    Args:
        image: (3, H, W) RGB, uint8.
        strength: half the width of the range of factors around 1.

    Returns:
        (3, H, W) RGB, uint8.
    """
    span = [max(0.0, 1 - strength), 1 + strength]
    order, *factors, _ = v2.ColorJitter.get_params(span, span, span, None)
    return adjust_colours(image, [(i, factors[i]) for i in order.tolist() if factors[i:]])


def adjust_colours(image: torch.Tensor, adjustments: Sequence[tuple[int, float]]) -> torch.Tensor:
    """Blend an image with black (0), with its mean grey (1) or with its own grey (2).

    torchvision and Pillow cut the fraction off after each adjustment, half a level on average; here
    the result alone is rounded, to the nearest level.

    Args:
        image: (3, H, W) RGB, uint8.
        adjustments: which, and the factor, in the order of their application; 1 changes nothing.

    Returns:
        (3, H, W) RGB, uint8.
    """
    x = image.to(torch.float32, memory_format=torch.contiguous_format)
    red, green, blue = _GREY
    for which, factor in adjustments:
        if which == _BRIGHTNESS:
            x.mul_(factor)
        elif which == _CONTRAST:
            # rows first: no sum is split among threads, however many there are
            means = x.mean(2).mean(1).tolist()
            grey_level = sum(a * b for a, b in zip(_GREY, means, strict=True))
            x.mul_(factor).add_((1 - factor) * grey_level)
        else:
            grey = x[0].mul(red).add_(x[1], alpha=green).add_(x[2], alpha=blue)
            x.mul_(factor).add_(grey, alpha=1 - factor)
        x.clamp_(0, 255)
    # to the nearest; straight to uint8 takes torch three times as long
    return x.add_(0.5).to(torch.int16).to(torch.uint8)
