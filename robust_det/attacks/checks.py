"""Whether an evaluation is to be believed (Carlini et al. 2019, "On evaluating adversarial
robustness", section 5, and Athalye et al. 2018, section 3): signs of masked gradients."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import pairwise

import torch
from torch import nn

from robust_det.attacks.apgd import APGD
from robust_det.attacks.budgets import Member
from robust_det.attacks.ensemble import WorstCase, worst_case
from robust_det.attacks.frozen import frozen
from robust_det.attacks.pgd import PGD
from robust_det.attacks.square import Square
from robust_det.attacks.steps import random_start
from robust_det.attacks.threat import ThreatModel
from robust_det.core.errors import UserError
from robust_det.core.seeding import seeded_generator

__all__ = ["Check", "all_checks", "check_attacks", "check_black_box", "check_large_eps",
           "check_more_steps", "check_noise"]  # fmt: skip

# what chance alone may do: this share of the images, rounded down
_SLACK = 0.005


@dataclass(frozen=True)
class Check:
    """The outcome of one check.

    Args:
        name: what was checked.
        passed: whether nothing speaks against the evaluation.
        figures: accuracies in percent of the images of the batch, by what they are of, in order.
        meaning: what a failure says.
    """

    name: str
    passed: bool
    figures: dict[str, float]
    meaning: str

    def __str__(self) -> str:
        said = ", ".join(f"{name} {value:.1f} %" for name, value in self.figures.items())
        verdict = "PASS" if self.passed else "FAIL"
        return f"{verdict} {self.name}: {said}" + ("" if self.passed else f"; {self.meaning}")


def check_attacks(
    network: nn.Module,
    images: torch.Tensor,
    targets: torch.Tensor,
    threat: ThreatModel,
    *,
    seed: int = 0,
    queries: int = 500,
) -> list[Check]:
    """Run all checks on a batch, of a hundred images or more: fewer tell nothing.

    An image costs 10 passes of noise, at most 235 gradient steps, and ``queries``.

    Args:
        network: takes images (N, C, H, W) in [0, 1], returns logits (N, K).
        images: (N, C, H, W) float in [0, 1].
        targets: (N,) true classes.
        threat: what may be changed; its eps is above 0.
        seed: of all random numbers.
        queries: of the black-box attack.

    Raises:
        UserError: there are no images, or eps is 0.
    """
    checks = all_checks(network, images, targets, threat, seed=seed, queries=queries)
    return [check() for check in checks]


def all_checks(
    network: nn.Module,
    images: torch.Tensor,
    targets: torch.Tensor,
    threat: ThreatModel,
    *,
    seed: int = 0,
    queries: int = 500,
) -> list[Callable[[], Check]]:
    """Return what :func:`check_attacks` runs, one after the other."""
    checks = (
        check_noise,
        check_more_steps,
        check_large_eps,
        partial(check_black_box, queries=queries),
    )
    return [partial(check, network, images, targets, threat, seed=seed) for check in checks]


def check_noise(
    network: nn.Module,
    images: torch.Tensor,
    targets: torch.Tensor,
    threat: ThreatModel,
    *,
    seed: int = 0,
    draws: int = 10,
) -> Check:
    """Look whether the worst of several random points of the ball is weaker than PGD.

    Args:
        network, images, targets, threat, seed: as in :func:`check_attacks`.
        draws: random points an image.
    """
    _check_batch(images, threat)
    noise = [seeded_generator(images.device, seed, i) for i in range(len(images))]
    with frozen(network), torch.no_grad():
        right = network(images).argmax(1) == targets
        for _ in range(draws):
            right &= network(random_start(threat, images, noise)).argmax(1) == targets
    attacked = _standing(network, images, targets, [_pgd(threat, 10)], seed)
    figures = {"noise": _percent(right), "PGD-10": _percent(attacked)}
    return Check(
        "noise is weaker than the attack",
        _not_above(attacked, right),
        figures,
        "the attack is no better than guessing: its gradients tell it nothing",
    )


def check_more_steps(
    network: nn.Module,
    images: torch.Tensor,
    targets: torch.Tensor,
    threat: ThreatModel,
    *,
    seed: int = 0,
    steps: Sequence[int] = (5, 20, 50),
) -> Check:
    """Look whether longer attacks, each on its own, leave no more images than shorter ones.

    Args:
        network, images, targets, threat, seed: as in :func:`check_attacks`.
        steps: of the attacks, rising.
    """
    _check_batch(images, threat)
    left = [_standing(network, images, targets, [_pgd(threat, n)], seed) for n in steps]
    falls = all(_not_above(b, a) for a, b in pairwise(left))
    return Check(
        "more steps never help the defender",
        falls,
        {f"PGD-{n}": _percent(right) for n, right in zip(steps, left, strict=True)},
        "longer attacks are weaker: steps of the attack lead astray",
    )


def check_large_eps(
    network: nn.Module,
    images: torch.Tensor,
    targets: torch.Tensor,
    threat: ThreatModel,
    *,
    seed: int = 0,
) -> Check:
    """Look whether nothing above chance is left where nearly every image may become any other.

    The large eps is 0.5 for Linf, with which all may become grey, and half of the diagonal of the
    box for L2, which is the same distance.

    Args:
        network, images, targets, threat, seed: as in :func:`check_attacks`.
    """
    _check_batch(images, threat)
    half = 0.5 if threat.norm == "linf" else 0.5 * images[0].numel() ** 0.5
    large = replace(threat, eps=half)
    member = Member("apgd-margin", APGD(large, 50), "margin")
    found = worst_case(network, images, targets, [member], seed=seed)
    with frozen(network), torch.no_grad():
        classes = network(images[:1]).shape[1]
    figures = {f"eps {half:.3g}": _percent(found.standing), "chance": 100 / classes}
    return Check(
        "a large eps reaches chance",
        figures[f"eps {half:.3g}"] <= figures["chance"],
        figures,
        "the attack fails where it cannot fail: its gradients are masked",
    )


def check_black_box(
    network: nn.Module,
    images: torch.Tensor,
    targets: torch.Tensor,
    threat: ThreatModel,
    *,
    seed: int = 0,
    queries: int = 500,
) -> Check:
    """Look whether an attack that sees scores alone fells no image that stands against gradients.

    Args:
        network, images, targets, threat, seed: as in :func:`check_attacks`.
        queries: of the Square attack.
    """
    _check_batch(images, threat)
    members = [
        Member("apgd-ce", APGD(threat, 50), "cross_entropy"),
        Member("apgd-margin", APGD(threat, 50), "margin"),
        Member("square", Square(threat, queries), "margin"),
    ]
    found = worst_case(network, images, targets, members, seed=seed)
    white = found.standing | (found.by == len(members) - 1)
    return Check(
        "a black-box attack is not stronger than the white-box one",
        found.felled["square"] <= _SLACK * len(images),
        {"APGD": _percent(white), "and Square": _percent(found.standing)},
        "scores lead where gradients do not: they are masked",
    )


def _pgd(threat: ThreatModel, steps: int) -> Member:
    size = 2.5 * threat.eps / steps
    attack = PGD(threat, steps, size, random_start=True, best_iterate=True)
    return Member("pgd-ce", attack, "cross_entropy")


def _standing(
    network: nn.Module,
    images: torch.Tensor,
    targets: torch.Tensor,
    members: Sequence[Member],
    seed: int,
) -> torch.Tensor:
    found: WorstCase = worst_case(network, images, targets, members, seed=seed)
    return found.standing


def _not_above(attacked: torch.Tensor, other: torch.Tensor) -> bool:
    return bool(attacked.sum() <= other.sum() + int(_SLACK * len(other)))


def _percent(right: torch.Tensor) -> float:
    return float(100 * right.double().mean())


def _check_batch(images: torch.Tensor, threat: ThreatModel) -> None:
    if len(images) == 0:
        raise UserError("checks of attacks need images", "give a hundred or more")
    if threat.eps == 0:
        raise UserError("checks of attacks need an eps above 0")
