"""Which images make up which batch: a function of the seed alone, so that a run can be resumed."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

__all__ = ["BatchPlan", "Position"]

# the number of a draw, and the image that was drawn
Position = tuple[int, int]


class BatchPlan:
    """The batches of a run, in their order.

    The images are those that Detectron2's loader would give one process of the whole batch: drawn
    by its sampler, and, with aspect-ratio grouping, kept until there is a batch of upright or of
    wide ones. Every process plans the whole batches and takes its share, so that the order does
    not depend on the number of processes.

    Args:
        draws: infinite image numbers, the same at each iteration over it.
        wide: whether each image is wider than high; None does not group.
        batch_size: images of a batch over all processes.
        rank, world_size: of this process.

    Attributes:
        start: number of the first batch that is given out; set it before iterating.
    """

    def __init__(
        self,
        draws: Iterable[int],
        wide: Sequence[bool] | None,
        batch_size: int,
        rank: int = 0,
        world_size: int = 1,
    ) -> None:
        if batch_size % world_size:
            raise ValueError(f"{batch_size} images cannot be shared by {world_size} processes")
        self.draws = draws
        self.wide = wide
        self.batch_size = batch_size
        self.rank, self.world_size = rank, world_size
        self.start = 0

    def __iter__(self) -> Iterator[list[Position]]:
        buckets: tuple[list[Position], list[Position]] = ([], [])
        number = 0
        for position in enumerate(self.draws):
            bucket = buckets[0 if self.wide is None else int(self.wide[position[1]])]
            bucket.append(position)
            if len(bucket) < self.batch_size:
                continue
            if number >= self.start:
                yield bucket[self.rank :: self.world_size]
            number += 1
            bucket.clear()
