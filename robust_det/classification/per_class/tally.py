"""Images of each class, and how many of them were classified right, while a set is passed over."""

from __future__ import annotations

import torch

from robust_det.training.world import World

__all__ = ["ClassTally"]


class ClassTally:
    """Counts of each class, as they are and under attack.

    Args:
        classes: how many the targets are of.
        device: of the targets.

    Attributes:
        clean, attacked: (2, classes), images and those of them that were classified right; of all
            processes once they are gathered.
    """

    def __init__(self, classes: int, device: torch.device) -> None:
        self.clean = torch.zeros(2, classes, dtype=torch.float64, device=device)
        self.attacked = torch.zeros_like(self.clean)

    def add(self, targets: torch.Tensor, right: torch.Tensor, *, attacked: bool) -> None:
        """Count images (N,)."""
        images, hits = self.attacked if attacked else self.clean
        images.index_add_(0, targets, torch.ones_like(targets, dtype=torch.float64))
        hits.index_add_(0, targets, right.double())

    def gather(self, world: World) -> None:
        """Add up what all processes have counted; once, at the end."""
        self.clean, self.attacked = world.sum(self.clean).cpu(), world.sum(self.attacked).cpu()

    @property
    def balanced(self) -> bool:
        """Whether all classes that occur have as many images: then their mean is the accuracy."""
        images = self.clean[0]
        return len(images[images > 0].unique()) <= 1

    def mean(self, *, attacked: bool = False) -> float:
        """Return the mean accuracy of the classes that occur, in percent; 0 of none."""
        images, hits = self.attacked if attacked else self.clean
        there = images > 0
        return float(100 * (hits[there] / images[there]).mean()) if there.any() else 0.0
