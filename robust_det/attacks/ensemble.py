"""The worst case of several attacks, image by image (Croce & Hein 2020, section 6)."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import nn

from robust_det.attacks.budgets import Member
from robust_det.attacks.fab import FAB
from robust_det.attacks.frozen import frozen
from robust_det.attacks.hunt import Hunt
from robust_det.core.errors import UserError
from robust_det.core.seeding import seeded_generator

__all__ = ["WorstCase", "require_finite", "worst_case"]


@dataclass(frozen=True)
class WorstCase:
    """What is left of a batch after a sequence of attacks.

    Args:
        clean: (N,) which images are classified right as they are.
        standing: (N,) which are after all attacks.
        images: (N, C, H, W) what fooled the network; the image itself where nothing did.
        felled: how many images each attack felled, by its name, in order; those that were wrong as
            they are belong to none.
        by: (N,) the number of the attack in ``felled`` that felled the image; -1 for none.
        not_finite: how often an attack met logits that are not finite, which tell it nothing.
        tried: like ``images``; where nothing fooled the network, what the last attack came to in
            the ball.
    """

    clean: torch.Tensor
    standing: torch.Tensor
    images: torch.Tensor
    felled: dict[str, int]
    by: torch.Tensor
    not_finite: int
    tried: torch.Tensor


def worst_case(
    network: nn.Module,
    images: torch.Tensor,
    targets: torch.Tensor,
    members: Sequence[Member],
    *,
    indices: Sequence[int] | None = None,
    seed: int = 0,
    amp_dtype: torch.dtype | None = None,
    after: Callable[[str, int], None] = lambda name, standing: None,
    on_pass: Callable[[int], None] = lambda images: None,
) -> WorstCase:
    """Attack every image until one attack of a sequence succeeds.

    Each attack meets only the images that still stand, as AutoAttack's do, and a targeted one meets
    its classes in the order of the logits of the image as it is. What an attack found counts if the
    network, asked once more in its own precision, misses the class. Random numbers are a function
    of the seed, the image and the attack's name.

    Args:
        network: takes images (N, C, H, W) in [0, 1], returns logits (N, K); left in the mode it
            was found in.
        images: (N, C, H, W) float in [0, 1].
        targets: (N,) true classes.
        members: the attacks, such as :func:`robust_det.attacks.budgets.budget` gives.
        indices: the numbers of the images in their set; by default those in this batch.
        seed: of all random numbers.
        amp_dtype: autocast the attacks' passes to this type; None for the network's own precision.
        after: is told of every attack that is over: its name, and how many images stand.
        on_pass: is told of each forward pass of an attack, of how many images it is; of all images
            they add up to no more than the attacks' costs.

    Raises:
        UserError: two attacks have one name, or logits of images as they are are not finite.
    """
    names = [member.name for member in members]
    if len(set(names)) < len(names):
        raise UserError(f"attacks of one ensemble need names of their own, not {', '.join(names)}")
    numbers = range(len(images)) if indices is None else indices
    if len(numbers) != len(images):
        raise UserError(f"{len(images)} images need one index each, not {len(numbers)}")
    with frozen(network):
        with torch.no_grad():
            logits = network(images)
        require_finite(logits)
        ranked = logits.argsort(dim=1, descending=True, stable=True)
        clean = ranked[:, 0] == targets
        standing, result, tried = clean.clone(), images.clone(), images.clone()
        by = torch.full_like(targets, -1)
        felled, not_finite = dict.fromkeys(names, 0), 0
        for number, member in enumerate(members):
            noise = [
                seeded_generator(images.device, seed, index, zlib.crc32(member.name.encode()))
                for index in numbers
            ]
            for towards in _aims(member, ranked):
                rows = standing.nonzero().flatten()
                if len(rows) == 0:
                    break
                hunt = Hunt(
                    network,
                    images[rows],
                    targets[rows],
                    member.attack.threat,
                    member.loss,
                    None if towards is None else towards[rows],
                    amp_dtype,
                    on_pass,
                )
                came_to = _run(member, hunt, images[rows], [noise[row] for row in rows.tolist()])
                inside = member.attack.threat.holds(came_to, images[rows])
                tried[rows[inside]] = came_to[inside]
                not_finite += int(hunt.not_finite)
                fooled = hunt.fooled.nonzero().flatten()
                if len(fooled) == 0:
                    continue
                found = hunt.found[fooled]
                with torch.no_grad():
                    missed = network(found).argmax(1) != targets[rows[fooled]]
                lost = rows[fooled[missed]]
                result[lost], standing[lost], by[lost] = found[missed], False, number
                tried[lost] = found[missed]
                felled[member.name] += len(lost)
            after(member.name, int(standing.sum()))
    return WorstCase(clean, standing, result, felled, by, not_finite, tried)


def require_finite(logits: torch.Tensor) -> None:
    """Refuse logits (N, K) of images as they are that have no largest one.

    Raises:
        UserError: there is NaN or infinity among them.
    """
    if not bool(logits.isfinite().all()):
        raise UserError(
            "the network gives NaN or Inf for images as they are",
            "it has diverged or overflows: there is no accuracy of it",
        )


def _run(
    member: Member, hunt: Hunt, images: torch.Tensor, noise: Sequence[torch.Generator]
) -> torch.Tensor:
    """Attack, look at the last images, which not every attack asks the objective of, and return
    them."""
    if isinstance(member.attack, FAB):
        found = member.attack(hunt, images, success=hunt.success)
    else:
        found = member.attack(hunt, images, noise)
    hunt.look(found)
    return found


def _aims(member: Member, ranked: torch.Tensor) -> Iterator[torch.Tensor | None]:
    """The classes (N,) to aim at, one run after the other."""
    if member.targets == 0:
        yield None
    # an image that stands is classified right: its own class is the first
    for rank in range(1, min(member.targets, ranked.shape[1] - 1) + 1):
        yield ranked[:, rank]
