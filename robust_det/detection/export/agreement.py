"""Whether an exported detector finds the same objects."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch

__all__ = ["TOLERANCES", "Comparison", "compare"]

# largest differences of what is the same object: pixels, and probabilities
TOLERANCES = {"boxes": 1e-2, "scores": 1e-4, "masks": 1e-3}


@dataclass(frozen=True)
class Comparison:
    """Two lists of objects on one image.

    Attributes:
        size: height and width of the image.
        objects, others: how many there are on either side.
        matched: how many are the same on both.
        differences: the largest ones among these, of each output.
    """

    size: tuple[int, int]
    objects: int
    others: int
    matched: int
    differences: dict[str, float]

    @property
    def same(self) -> bool:
        """Whether every object has its equal."""
        return self.objects == self.others == self.matched

    def __str__(self) -> str:
        height, width = self.size
        largest = ", ".join(f"{name} {value:.1e}" for name, value in self.differences.items())
        text = (
            f"{height} x {width}: {self.objects} and {self.others} objects, {self.matched} the same"
        )
        return f"{text}, largest differences: {largest}" if self.matched else text


def compare(
    names: Sequence[str],
    size: tuple[int, int],
    ours: Sequence[torch.Tensor],
    theirs: Sequence[torch.Tensor],
) -> Comparison:
    """Match objects of the same class one to one, whatever their order: rounding can swap two of
    nearly the same score.

    Args:
        names: ``boxes``, ``scores``, ``classes``, and ``masks`` if there are any.
        size: height and width of the image.
        ours, theirs: the outputs of these names.
    """
    a, b = (dict(zip(names, outputs, strict=True)) for outputs in (ours, theirs))
    largest = {name: 0.0 for name in names if name != "classes"}
    free = torch.ones(len(b["scores"]), dtype=torch.bool)
    matched = 0
    for index in range(len(a["scores"])):
        candidates = free & (b["classes"] == a["classes"][index])
        far = {
            name: (b[name] - a[name][index]).abs().flatten(1).amax(1)
            if b[name].dim() > 1
            else (b[name] - a[name][index]).abs()
            for name in largest
        }
        for name, distances in far.items():
            candidates &= distances <= TOLERANCES[name]
        if candidates.any():
            chosen = int(candidates.nonzero()[0])
            free[chosen] = False
            matched += 1
            largest = {n: max(value, float(far[n][chosen])) for n, value in largest.items()}
    return Comparison(size, len(a["scores"]), len(b["scores"]), matched, largest)
