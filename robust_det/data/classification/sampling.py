"""Which images come in which batch: a function of the seed and the step alone."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch.utils.data import Sampler

__all__ = ["EvalBatches", "TrainBatches"]


class TrainBatches(Sampler[list[tuple[int, ...]]]):
    """Batches of ``(epoch, index)`` for one process, over all epochs, from any step on.

    Each epoch is a fresh permutation; the incomplete last batch is dropped. One loader serves the
    whole run, so workers start once and the next epoch is prefetched.

    Repeated augmentation (Hoffer et al. 2020) has each image several times in a batch, as keys
    ``(epoch, index, copy)``. An epoch is as many batches as without, and so has a part of the
    images alone, as DeiT and timm count.

    Args:
        length: number of images.
        batch_size: images a step over all processes, copies counted; divisible by ``world_size``
            and ``repeats``.
        epochs: number of epochs.
        seed: of the permutations.
        start_step: the first step to give out (global, counted from 0).
        rank, world_size: this process, and how many there are.
        repeats: how often each image is in its batch.
    """

    def __init__(
        self,
        length: int,
        batch_size: int,
        epochs: int,
        seed: int,
        start_step: int = 0,
        rank: int = 0,
        world_size: int = 1,
        repeats: int = 1,
    ) -> None:
        self.steps_per_epoch = length // batch_size
        self.length = length
        self.batch_size = batch_size
        self.epochs = epochs
        self.seed = seed
        self.start_step = start_step
        self.rank = rank
        self.world_size = world_size
        self.repeats = repeats

    def __len__(self) -> int:
        return self.steps_per_epoch * self.epochs - self.start_step

    def __iter__(self) -> Iterator[list[tuple[int, ...]]]:
        first_epoch, first_batch = divmod(self.start_step, self.steps_per_epoch)
        for epoch in range(first_epoch, self.epochs):
            generator = torch.Generator().manual_seed(self.seed * 1_000_003 + epoch)
            order = torch.randperm(self.length, generator=generator).tolist()
            for batch in range(first_batch if epoch == first_epoch else 0, self.steps_per_epoch):
                yield self._keys(epoch, order, batch)[self.rank :: self.world_size]

    def _keys(self, epoch: int, order: list[int], batch: int) -> list[tuple[int, ...]]:
        """Return those of a batch over all processes."""
        images = self.batch_size // self.repeats
        mine = order[batch * images : (batch + 1) * images]
        if self.repeats == 1:
            return [(epoch, index) for index in mine]
        # neighbours are other images, which mixup pairs
        return [(epoch, index, copy) for copy in range(self.repeats) for index in mine]


class EvalBatches(Sampler[list[tuple[int, ...]]]):
    """Every image once, in order, split over the processes without repeats.

    Args:
        length: number of images.
        batch_size: images a batch in this process.
        rank, world_size: this process, and how many there are.
    """

    def __init__(self, length: int, batch_size: int, rank: int = 0, world_size: int = 1) -> None:
        self.mine = list(range(rank, length, world_size))
        self.batch_size = batch_size

    def __len__(self) -> int:
        return -(-len(self.mine) // self.batch_size)

    def __iter__(self) -> Iterator[list[tuple[int, ...]]]:
        for start in range(0, len(self.mine), self.batch_size):
            yield [(0, index) for index in self.mine[start : start + self.batch_size]]
