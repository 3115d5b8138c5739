"""The layer that makes the logits: linear, or as in some networks of timm a convolution of 1x1 on
what was pooled, which is the same."""

from __future__ import annotations

import torch
from torch import nn

__all__ = ["features_of_head", "head_with"]


def features_of_head(head: nn.Module | None) -> int | None:
    """Return how many features a layer makes logits of; None if it is neither of the two."""
    if isinstance(head, nn.Linear):
        return head.in_features
    if type(head) is nn.Conv2d and head.kernel_size == (1, 1) and head.groups == 1:
        return head.in_channels
    return None


def head_with(head: nn.Module, weight: torch.Tensor, bias: torch.Tensor) -> nn.Module:
    """Return a layer of the same kind with other logits.

    Args:
        head: one of the two.
        weight: (classes, features).
        bias: (classes,).
    """
    classes, features = weight.shape
    with torch.device("meta"):
        new: nn.Module
        if isinstance(head, nn.Conv2d):
            new, weight = nn.Conv2d(features, classes, 1), weight[:, :, None, None]
        else:
            new = nn.Linear(features, classes)
    new.weight, new.bias = nn.Parameter(weight), nn.Parameter(bias)
    return new
