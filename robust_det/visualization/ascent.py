"""The search for images that a network takes for what they are to be: the attacks' own PGD."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import torch

from robust_det.attacks import PGD, L2Ball, Objective
from robust_det.core.seeding import seeded_generator
from robust_det.visualization.images import read_square

__all__ = ["l2_search", "noise", "search", "search_settings", "starts"]

_BATCH = 16
_MEAN, _DEVIATION = 0.5, 1 / 20


def noise(count: int, size: int, seed: int, device: torch.device) -> torch.Tensor:
    """Return seeds (N, 3, size, size) of N(0.5, 1/20), where 1/20 is the deviation, cut to [0, 1].

    Each depends on the seed and its number alone.
    """
    cpu = torch.device("cpu")  # the same numbers on every device
    drawn = [
        torch.empty(3, size, size).normal_(
            _MEAN, _DEVIATION, generator=seeded_generator(cpu, seed, n)
        )
        for n in range(count)
    ]
    return torch.stack(drawn).clamp_(0, 1).to(device)


def starts(
    count: int, size: int, seed: int, device: torch.device, image: Path | None
) -> torch.Tensor:
    """Return where searches begin, (N, 3, size, size): an image for all, or noise for each."""
    if image is None:
        return noise(count, size, seed, device)
    return read_square(image, size).to(device).expand(count, -1, -1, -1).clone()


def search_settings(
    size: int, iterations: int, eps: float, step: float, seed: int, image: Path | None
) -> dict[str, object]:
    """Return how a search was made, for the record; see :func:`starts` and :func:`l2_search`."""
    return {
        "size": size,
        "iterations": iterations,
        "eps": eps,
        "step": step,
        "seed": seed,
        "start": str(image) if image else "N(0.5, 1/20)",
    }


def search(
    objective_of: Callable[[slice], Objective],
    seeds: torch.Tensor,
    attack: PGD,
    advance: Callable[[int], object],
) -> torch.Tensor:
    """Return what PGD makes of seeds, some at a time.

    Args:
        objective_of: the objective of the images at these places.
        seeds: (N, 3, H, W) in [0, 1].
        attack: the optimiser.
        advance: is told the images of each step.
    """
    found: Sequence[torch.Tensor] = [
        attack(_counted(objective_of(slice(at, at + _BATCH)), advance), seeds[at : at + _BATCH])
        for at in range(0, len(seeds), _BATCH)
    ]
    return torch.cat(list(found))


def l2_search(eps: float, step: float, iterations: int) -> PGD:
    """Return the optimiser: gradient steps of length ``step`` in an L2 ball, the last iterate."""
    return PGD(L2Ball(eps), iterations, step)


def _counted(objective: Objective, advance: Callable[[int], object]) -> Objective:
    def counted(x: torch.Tensor) -> torch.Tensor:
        losses = objective(x)
        advance(len(x))
        return losses

    return counted
