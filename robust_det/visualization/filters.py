"""The filters of the first convolution, each scaled by its own largest weight: 0 is grey."""

from __future__ import annotations

import math

import torch
from torch import nn

from robust_det.core.errors import UserError
from robust_det.visualization.job import Job, Result
from robust_det.visualization.networks import ShownBackbone, load_backbones
from robust_det.visualization.sheet import Cell, Row, Sheet, bytes_of, symmetric

__all__ = ["draw", "first_filters", "mosaic"]

_MOST = 256


def first_filters(backbone: ShownBackbone) -> torch.Tensor:
    """Return the filters (C, 3, k, k) of a network's first convolution.

    Raises:
        UserError: it has none that sees colours.
    """
    for module in backbone.model.body().modules():
        if isinstance(module, nn.Conv2d):
            if module.weight.shape[1] != 3:
                break
            return module.weight.detach()
    raise UserError(
        f"{backbone.name} ({backbone.model.arch}) does not begin with a convolution of colours;"
        " leave it out"
    )


def mosaic(filters: torch.Tensor) -> torch.Tensor:
    """Return filters (C, 3, k, k) as an image (3, H, W) in [0, 1], row by row, with white lines."""
    side = filters.shape[-1]
    across = math.ceil(math.sqrt(len(filters)))
    down = math.ceil(len(filters) / across)
    image = torch.ones(3, down * (side + 1) + 1, across * (side + 1) + 1)
    for number, each in enumerate(filters):
        y, x = number // across * (side + 1) + 1, number % across * (side + 1) + 1
        image[:, y : y + side, x : x + side] = symmetric(each, float(each.abs().max()))
    return image


def draw(job: Job) -> Result:
    """Draw the first convolution of every backbone.

    Raises:
        UserError: a backbone cannot be read, or has no such convolution.
    """
    backbones = load_backbones(job.backbones)
    cells, table, said = [], [], []
    for each in backbones:
        filters = first_filters(each)
        if len(filters) > _MOST:
            said.append(f"Of {each.name}, the first {_MOST} of {len(filters)} filters are shown.")
        count, _, side, _ = filters.shape
        cells.append(Cell(bytes_of(mosaic(filters[:_MOST])), f"{count} of {side} x {side}"))
        table += [
            {
                "network": each.name,
                "filter": number,
                "l2": float(weights.norm()),
                "largest": float(weights.abs().max()),
            }
            for number, weights in enumerate(filters)
        ]
    shapes = {cell.caption for cell in cells}
    if len(shapes) > 1:
        said.append("The first convolutions differ in number or size.")
    shown = [each.shown for each in backbones]
    row = Row("first convolution", cells)
    sheet = Sheet(job.title, [each.heading for each in shown], [row])
    return Result(sheet, shown, table, {}, (), said)
