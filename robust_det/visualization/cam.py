"""Grad-CAM (Selvaraju et al. 2017, equations 1 and 2): where features speak for a score."""

from __future__ import annotations

import torch
from torch.nn import functional as F

__all__ = ["grad_cam", "on_image", "share_inside"]


def grad_cam(features: torch.Tensor, gradient: torch.Tensor) -> torch.Tensor:
    """Return the map (h, w), >= 0: channels weighted by their gradient's mean over positions.

    Args:
        features: (C, h, w).
        gradient: like them, of the score.
    """
    weights = gradient.mean((1, 2), keepdim=True)
    return (weights * features).sum(0).relu()


def on_image(cam: torch.Tensor, padded: tuple[int, int], size: tuple[int, int]) -> torch.Tensor:
    """Return a map on the image (H, W), bilinear.

    Args:
        cam: (h, w) of the padded image.
        padded: height and width of that.
        size: of the image, without padding.
    """
    grown = F.interpolate(cam[None, None], padded, mode="bilinear", align_corners=False)
    return grown[0, 0, : size[0], : size[1]]


def share_inside(values: torch.Tensor, box: torch.Tensor) -> float | None:
    """Return which share of a map, >= 0, lies in a box; None of a map that is 0.

    The proportion of Wang et al. 2020, "Score-CAM", section 4.3.

    Args:
        values: (H, W).
        box: (4,) corners in pixels; pixels whose centre is in it count.
    """
    total = float(values.double().sum())
    if total <= 0:
        return None
    height, width = values.shape
    y = torch.arange(height, device=values.device) + 0.5
    x = torch.arange(width, device=values.device) + 0.5
    x0, y0, x1, y1 = (float(v) for v in box)
    inside = ((y >= y0) & (y <= y1))[:, None] & ((x >= x0) & (x <= x1))
    return float(values.double()[inside].sum()) / total
