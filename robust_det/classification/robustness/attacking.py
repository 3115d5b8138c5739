"""What becomes of a batch of images under attacks at rising eps."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Sequence

import torch
from torch import nn

from robust_det.attacks.budgets import Budget
from robust_det.attacks.ensemble import require_finite, worst_case
from robust_det.attacks.frozen import frozen
from robust_det.classification.robustness.fates import STANDING, WRONG, Fate, fell_at
from robust_det.classification.robustness.witness import Witness

__all__ = ["fates_of"]


def fates_of(
    network: nn.Module,
    images: torch.Tensor,
    targets: torch.Tensor,
    names: Sequence[str],
    budgets: Sequence[tuple[float, Budget]],
    *,
    seed: int = 0,
    on_pass: Callable[[int], None] = lambda images: None,
    witness: Witness | None = None,
) -> tuple[list[Fate], int]:
    """Attack images at one eps after the other.

    An image that fell at one eps is not attacked at the larger ones: what was found lies in their
    balls as well. Random numbers are a function of the seed, the image's name and the attack, so
    that they depend neither on the batch nor on which images are drawn.

    Args:
        network: takes images (N, C, H, W) in [0, 1], returns logits (N, K).
        images: (N, C, H, W) float in [0, 1].
        targets: (N,) true classes.
        names: of the images, N.
        budgets: the attacks, by rising eps.
        seed: of all random numbers.
        on_pass: see :func:`robust_det.attacks.worst_case`.
        witness: sees what the attacks came to.

    Returns:
        What became of each image, and how often an attack met logits that are not finite.

    Raises:
        UserError: logits of images as they are are not finite.
    """
    with frozen(network), torch.no_grad():
        logits = network(images)
    require_finite(logits)
    ranked = logits.topk(min(5, logits.shape[1]), dim=1).indices
    hits = ranked == targets[:, None]
    top5 = hits.any(1).tolist() if logits.shape[1] >= 5 else [None] * len(images)
    numbers = [zlib.crc32(name.encode(errors="surrogateescape")) for name in names]
    fell: list[list[str]] = [[] for _ in names]
    ended = ["" if right else WRONG for right in hits[:, 0].tolist()]
    not_finite = 0
    if witness is not None:
        witness.begin(images, targets, logits)
    for eps, budget in budgets:
        rows = [row for row, end in enumerate(ended) if not end]
        now = {row: STANDING for row in rows}
        if rows:
            found = worst_case(
                network,
                images[rows],
                targets[rows],
                budget.members,
                indices=[numbers[row] for row in rows],
                seed=seed,
                on_pass=on_pass,
            )
            not_finite += found.not_finite
            if witness is not None:
                witness.attacked(rows, found.tried)
            for row, standing, by in zip(
                rows, found.standing.tolist(), found.by.tolist(), strict=True
            ):
                if by >= 0:
                    now[row] = budget.members[by].name
                    ended[row] = fell_at(now[row], eps)
                elif not standing:  # two classes so close that they change places in another batch
                    now[row] = ended[row] = WRONG
        for row, events in enumerate(fell):
            events.append(now.get(row) or ended[row])
        if witness is not None:
            witness.after()
    fates = [
        Fate(name, int(first), hit, tuple(events))
        for name, first, hit, events in zip(names, ranked[:, 0], top5, fell, strict=True)
    ]
    if witness is not None:
        witness.end([fate.fell for fate in fates])
    return fates, not_finite
