"""A picture of many: rows and columns of small images, with words."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

__all__ = ["Cell", "Row", "Sheet", "bytes_of", "symmetric"]

Pixels = NDArray[np.uint8]


@dataclass(frozen=True)
class Cell:
    """An image of a sheet.

    Attributes:
        pixels: (H, W, 3) uint8 RGB; None where there is nothing to show.
        caption: below it.
    """

    pixels: Pixels | None
    caption: str = ""


@dataclass(frozen=True)
class Row:
    """A row of a sheet: what it is about, and its images, one a column."""

    label: str
    cells: Sequence[Cell]


@dataclass(frozen=True)
class Sheet:
    """Rows of images below the names of the columns."""

    title: str
    columns: Sequence[str]
    rows: Sequence[Row]

    def __post_init__(self) -> None:
        for row in self.rows:
            if len(row.cells) != len(self.columns):
                raise ValueError(
                    f"row '{row.label}' has {len(row.cells)} cells, not {len(self.columns)}"
                )


def bytes_of(image: torch.Tensor) -> Pixels:
    """Return an image (3, H, W) in [0, 1] as (H, W, 3) uint8; what lies beyond is cut off."""
    values = image.detach().float().cpu().clamp(0, 1).mul(255).round()
    pixels: Pixels = values.byte().permute(1, 2, 0).contiguous().numpy()
    return pixels


def symmetric(values: torch.Tensor, largest: float) -> torch.Tensor:
    """Return signed values in [0, 1]: 0 is a half, -``largest`` and less 0, ``largest`` and more 1.

    Args:
        values: of any shape.
        largest: > 0; where it is 0, all values are 0 as well.
    """
    return (0.5 + values / (2 * max(largest, torch.finfo(torch.float32).tiny))).clamp(0, 1)
