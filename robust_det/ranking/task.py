"""What features are to tell: the class of each box, or of each image."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import torch

__all__ = ["MEAN_PER_CLASS", "TOP1", "Task"]

TOP1: Final = "top1"
MEAN_PER_CLASS: Final = "mean_per_class"


@dataclass(frozen=True)
class Task:
    """Examples, each a box or an image.

    Attributes:
        what: ``boxes`` or ``images``.
        labels: (N,) int64 in [0, K).
        groups: (N,) int64 in [0, G), the image that an example is of; all of one are left out, and
            drawn, together.
        classes: K names.
        headline: the accuracy by which backbones are ordered, ``mean_per_class`` or ``top1``.
    """

    what: str
    labels: torch.Tensor
    groups: torch.Tensor
    classes: tuple[str, ...]
    headline: str

    @property
    def group_count(self) -> int:
        """G."""
        return int(self.groups.max()) + 1
