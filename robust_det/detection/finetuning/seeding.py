"""Random numbers that are a function of the seed and of where they are drawn.

A run that was killed has lost the state of its generators; what depends on the seed and the number
of the step, or of the image, alone comes back by itself.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import torch
from detectron2.engine import HookBase
from detectron2.utils import comm

__all__ = ["SeedEachStep", "random_state_of", "seed_generators", "seeded"]


def random_state_of(*numbers: int) -> int:
    """Mix numbers into a seed of 32 bits; near ones give unrelated seeds."""
    return int(np.random.SeedSequence(numbers).generate_state(1)[0])


def seed_generators(seed: int) -> None:
    """Seed Python's, numpy's and torch's generators, of every device."""
    random.seed(seed)
    np.random.seed(seed)
    torch.manual_seed(seed)


@contextmanager
def seeded(seed: int) -> Iterator[None]:
    """Seed the CPU's generators for a while, and put them back afterwards."""
    python, numpy_state, cpu = random.getstate(), np.random.get_state(), torch.get_rng_state()
    random.seed(seed)
    np.random.seed(seed)
    # not torch.manual_seed, which would seed the GPUs as well
    torch.default_generator.manual_seed(seed)
    try:
        yield
    finally:
        random.setstate(python)
        np.random.set_state(numpy_state)
        torch.set_rng_state(cpu)


class SeedEachStep(HookBase):
    """Seeds what the model draws in a step: which anchors and proposals it learns from.

    Args:
        seed: of the run.
    """

    def __init__(self, seed: int) -> None:
        self.seed = seed

    def before_step(self) -> None:
        seed_generators(random_state_of(self.seed, self.trainer.iter, comm.get_rank()))
