"""Features to learn classes from, small and in float64."""

from __future__ import annotations

from typing import NamedTuple

import torch


class Sample(NamedTuple):
    """Features in float64 that overlap, correlated, of unequal scales and not about 0."""

    features: torch.Tensor
    labels: torch.Tensor
    classes: int


def make_sample(images: int = 300, width: int = 20, classes: int = 5, seed: int = 0) -> Sample:
    noise = torch.Generator().manual_seed(seed)
    labels = torch.arange(images) % classes
    centres = torch.randn(classes, width, generator=noise, dtype=torch.float64)
    own = torch.randn(images, width, generator=noise, dtype=torch.float64)
    mixed = torch.randn(width, width, generator=noise, dtype=torch.float64) / width**0.5
    scales = torch.logspace(-1, 1, width, dtype=torch.float64)
    features = ((centres[labels] / 2 + own) @ mixed + 1).relu() * scales
    # what tests compare in float32 and float64 is the same matrix
    return Sample(features.float().double(), labels, classes)
