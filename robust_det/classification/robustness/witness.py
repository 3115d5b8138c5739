"""What attacks came to on those images of a batch that are kept to be shown."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import nn

from robust_det.classification.examples.choice import Examples, example
from robust_det.classification.examples.example import seen_by

__all__ = ["Witness"]


class Witness:
    """Sees a batch while it is attacked at one eps after the other.

    Args:
        network: that is attacked.
        examples: get what is wanted of it.
        places: of the images in their set, N.

    Attributes:
        changed: whether the examples are others than before.
    """

    def __init__(self, network: nn.Module, examples: Examples, places: Sequence[int]) -> None:
        self._network, self._examples, self._places = network, examples, places
        self.changed = False

    def begin(self, images: torch.Tensor, targets: torch.Tensor, logits: torch.Tensor) -> None:
        """See the images (N, C, H, W), their classes (N,), and the logits (N, K) of them."""
        right = (logits.argmax(1) == targets).tolist()
        self._rows = self._examples.wanted(self._places, right)
        self._images, self._targets = images[self._rows], targets.tolist()
        self._now = self._images.clone()
        self._at: list[torch.Tensor] = []
        self._seen = [seen_by(logits[self._rows])]

    def attacked(self, rows: Sequence[int], tried: torch.Tensor) -> None:
        """See what became of those images of the batch that were attacked."""
        place = {row: number for number, row in enumerate(rows)}
        for number, row in enumerate(self._rows):
            if row in place:
                self._now[number] = tried[place[row]]

    @torch.no_grad()
    def after(self) -> None:
        """See that one eps is over; what fell before it is as it was then."""
        self._at.append(self._now.clone())
        if self._rows:
            self._seen.append(seen_by(self._network(self._now)))

    def end(self, fell: Sequence[tuple[str, ...]]) -> None:
        """Keep the images with what became of all of the batch at each eps."""
        self.changed = self._examples.add(
            example(
                self._examples.rank(self._places[row]),
                self._targets[row],
                fell[row],
                self._images[number],
                [images[number] for images in self._at],
                tuple(seen[number] for seen in self._seen),
            )
            for number, row in enumerate(self._rows)
        )
