"""Features as colours: their first three principal components."""

from __future__ import annotations

import torch

from robust_det.visualization.sheet import symmetric

__all__ = ["components_image", "principal_components"]

_DEVIATIONS = 2.0  # beyond which colours are cut off


def principal_components(
    features: torch.Tensor, count: int = 3
) -> tuple[torch.Tensor, list[float]]:
    """Return the principal components of the positions of an image.

    The same components serve all positions. Each has the sign that makes the largest of its
    loadings positive, so that the same features give the same colours.

    Args:
        features: (C, h, w).
        count: how many; where there are fewer, the others are 0.

    Returns:
        Scores (count, h, w), and the share of the variance of each, 0 where nothing varies.
    """
    height, width = features.shape[1:]
    points = features.double().flatten(1).T  # (h w, C)
    centred = points - points.mean(0)
    _, lengths, axes = torch.linalg.svd(centred, full_matrices=False)
    scores = points.new_zeros(count, height * width)
    shares = [0.0] * count
    total = float(lengths.square().sum())
    # of one position nothing varies, and what varies by rounding alone has no components
    if total <= 1e-20 * float(points.square().sum()):
        return scores.view(count, height, width), shares
    for number in range(min(count, len(lengths))):
        axis = axes[number]
        axis = axis * torch.sign(axis[axis.abs().argmax()])
        scores[number] = centred @ axis
        shares[number] = float(lengths[number].square()) / total
    return scores.view(count, height, width), shares


def components_image(scores: torch.Tensor) -> torch.Tensor:
    """Return scores (3, h, w) as an image in [0, 1]: 0 is grey, two deviations full colour."""
    deviations = scores.flatten(1).square().mean(1).sqrt()
    return torch.stack(
        [symmetric(s, _DEVIATIONS * float(d)) for s, d in zip(scores, deviations, strict=True)]
    )
