"""Random numbers that are a function of the seed and of where they are drawn.

A run that was killed has lost the state of its generators; what depends on the seed and the number
of the step, or of the image, alone comes back by itself. Where that cannot be, the state of all
generators goes into the checkpoint.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch

from robust_det.core.errors import UserError

__all__ = [
    "SEEDS",
    "check_seed",
    "generator_states",
    "mixed_seed",
    "restore_generators",
    "seed_generators",
    "seeded",
    "seeded_generator",
]


# how many there are, from 0: numpy takes no others
SEEDS = 2**32


def check_seed(seed: int) -> None:
    """Refuse a ``SEED`` that a config may not have.

    Raises:
        UserError: it is not from 0 to ``SEEDS - 1``.
    """
    if not 0 <= seed < SEEDS:
        drawn = "; no run draws one of its own, so that each can be repeated" if seed < 0 else ""
        raise UserError(
            f"SEED is {seed}, and seeds are from 0 to 2**32 - 1{drawn}; give 0, and for further"
            " runs 1, 2, ..."
        )


def mixed_seed(*numbers: int) -> int:
    """Mix numbers into a seed of 32 bits; near ones give unrelated seeds."""
    return int(np.random.SeedSequence(numbers).generate_state(1)[0])


def seeded_generator(device: torch.device, *numbers: int) -> torch.Generator:
    """Return a generator of its own whose draws are a function of the numbers."""
    return torch.Generator(device=device).manual_seed(mixed_seed(*numbers))


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


def generator_states() -> dict[str, Any]:
    """Return the state of this process's generators as tensors, numbers and lists."""
    version, internal, gauss = random.getstate()
    state: Any = np.random.get_state()
    name, keys, position, has_gauss, cached = state
    return {
        "torch": torch.get_rng_state(),
        # of this process's GPU alone: the others belong to other processes
        "cuda": [torch.cuda.get_rng_state()] if torch.cuda.is_available() else [],
        "python": [version, list(internal), gauss],
        "numpy": [str(name), torch.from_numpy(keys.astype(np.int64)), position, has_gauss, cached],
    }


def restore_generators(state: Mapping[str, Any]) -> None:
    """Put this process's generators into a state of :func:`generator_states`."""
    version, internal, gauss = state["python"]
    random.setstate((version, tuple(internal), gauss))
    name, keys, position, has_gauss, cached = state["numpy"]
    np.random.set_state((name, keys.numpy().astype(np.uint32), position, has_gauss, cached))
    torch.set_rng_state(state["torch"])
    if torch.cuda.is_available() and len(state["cuda"]) == 1:
        torch.cuda.set_rng_state(state["cuda"][0])
