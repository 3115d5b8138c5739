"""Which images are shown: a draw of the seed among those that are classified right as they are."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
import torch

from robust_det.classification.examples.example import (
    FELL,
    STANDING,
    WRONG,
    Example,
    Seen,
    seen_by,
)
from robust_det.core.seeding import mixed_seed
from robust_det.training.world import World

__all__ = ["SHOWN", "Examples", "example"]

SHOWN = 6
_DRAW = 5  # sets it apart from other draws of the seed


class Examples:
    """Keeps the first images of a random order that are classified right as they are; where these
    are fewer, others after them.

    Args:
        images: how many there are in all.
        seed: of the order.
        count: how many are kept.
        kept: those of an earlier session.
    """

    def __init__(
        self, images: int, seed: int, count: int = SHOWN, kept: Iterable[Example] = ()
    ) -> None:
        generator = np.random.default_rng(mixed_seed(seed, _DRAW))
        self._rank = generator.permutation(images)
        self._count = count
        self._kept: dict[int, Example] = {}
        self.add(kept)

    @property
    def kept(self) -> list[Example]:
        """What is kept, in order."""
        return sorted(self._kept.values(), key=_order)

    def rank(self, place: int) -> int:
        """Return where an image stands in the order."""
        return int(self._rank[place])

    def wanted(self, places: Sequence[int], right: Sequence[bool]) -> list[int]:
        """Return which images of a batch would be kept, by their number in it.

        Args:
            places: of the images in their set.
            right: whether they are classified right as they are.
        """
        before = [_order(one) for one in self._kept.values()]
        new = [(not good, self.rank(place)) for place, good in zip(places, right, strict=True)]
        best = set(sorted({*before, *new})[: self._count])
        return [number for number, each in enumerate(new) if each in best]

    def add(self, examples: Iterable[Example]) -> bool:
        """Keep those of the examples that are among the first; return whether anything changed."""
        before = set(self._kept)
        everything = {**self._kept, **{one.rank: one for one in examples}}
        first = sorted(everything.values(), key=_order)[: self._count]
        self._kept = {one.rank: one for one in first}
        return set(self._kept) != before

    def offer(
        self,
        places: Sequence[int],
        targets: torch.Tensor,
        images: torch.Tensor,
        logits: torch.Tensor,
        attacked: torch.Tensor,
        attacked_logits: torch.Tensor,
    ) -> None:
        """Keep what is wanted of a batch that was attacked at one eps.

        Args:
            places, targets: of the images, N each.
            images, attacked: (N, 3, H, W) in [0, 1].
            logits, attacked_logits: (N, K).
        """
        clean, after, classes = seen_by(logits), seen_by(attacked_logits), targets.tolist()
        right = [one.prediction == y for one, y in zip(clean, classes, strict=True)]
        for row in self.wanted(places, right):
            end = STANDING if after[row].prediction == classes[row] else FELL
            self.add(
                [
                    example(
                        self.rank(places[row]),
                        classes[row],
                        (end if right[row] else WRONG,),
                        images[row],
                        [attacked[row]],
                        (clean[row], after[row]),
                    )
                ]
            )

    def gather(self, world: World) -> None:
        """Take up what other processes have kept."""
        for other in world.gather(self.kept):
            self.add(other)  # type: ignore[arg-type]


def example(
    rank: int,
    target: int,
    fell: tuple[str, ...],
    image: torch.Tensor,
    attacked: Sequence[torch.Tensor],
    seen: tuple[Seen, ...],
) -> Example:
    """Return an image (3, H, W) in [0, 1] with what it became at each eps."""
    pixels = (255 * image).round().byte().cpu().numpy()
    changes = torch.stack([one - image for one in attacked]).half().cpu().numpy()
    return Example(rank, target, fell, pixels, changes, seen)


def _order(one: Example) -> tuple[bool, int]:
    return not one.right, one.rank
