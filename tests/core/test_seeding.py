"""Random numbers as functions of where they are drawn."""

from __future__ import annotations

import random

import numpy as np
import torch

from robust_det.core.seeding import (
    generator_states,
    mixed_seed,
    restore_generators,
    seed_generators,
    seeded,
    seeded_generator,
)


def draws() -> tuple[float, float, float]:
    return random.random(), float(np.random.random()), float(torch.rand(()))


def test_near_numbers_give_unrelated_seeds() -> None:
    seeds = {mixed_seed(a, b) for a in range(20) for b in range(20)}
    assert len(seeds) == 400 and all(0 <= seed < 2**32 for seed in seeds)
    assert mixed_seed(1, 2) == int(np.random.SeedSequence([1, 2]).generate_state(1)[0])


def test_a_while_of_other_numbers_leaves_the_generators_as_they_were() -> None:
    seed_generators(3)
    expected = draws()
    seed_generators(3)
    with seeded(7):
        inside = draws()
    assert draws() == expected
    seed_generators(7)
    assert draws() == inside != expected


def test_saved_states_come_back() -> None:
    seed_generators(1)
    draws()
    state = generator_states()
    expected = [draws() for _ in range(3)]
    seed_generators(2)
    restore_generators(state)
    assert [draws() for _ in range(3)] == expected


def test_a_generator_of_its_own_touches_no_other() -> None:
    seed_generators(5)
    expected = draws()
    seed_generators(5)
    device = torch.device("cpu")
    first = torch.rand(4, generator=seeded_generator(device, 1, 2))
    assert torch.equal(first, torch.rand(4, generator=seeded_generator(device, 1, 2)))
    assert not torch.equal(first, torch.rand(4, generator=seeded_generator(device, 2, 1)))
    assert draws() == expected
