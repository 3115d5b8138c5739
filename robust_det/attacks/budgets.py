"""Named sequences of attacks, from what is soon done to what is to be believed."""

from __future__ import annotations

from dataclasses import dataclass

from robust_det.attacks.apgd import APGD
from robust_det.attacks.fab import FAB
from robust_det.attacks.interface import Attack, Passes
from robust_det.attacks.objectives import LogitLoss, lead
from robust_det.attacks.pgd import PGD
from robust_det.attacks.square import Square
from robust_det.attacks.threat import ThreatModel
from robust_det.core.errors import UserError, counted, did_you_mean

__all__ = ["BUDGETS", "VERSION", "Budget", "Member", "budget"]

# of what a name means: raised when the same name and seed give other examples than before
VERSION = 1

# name -> what it is of
BUDGETS = {
    "quick": "PGD on the cross-entropy and on the margin, 10 steps each",
    "standard": "APGD on the cross-entropy, and on the DLR towards 9 classes, 100 steps each",
    "autoattack": "AutoAttack's standard version: standard, FAB towards 9 classes with 100 steps"
    " each, Square with 5,000 queries",
}
_STEPS, _CLASSES, _QUERIES, _QUICK_STEPS = 100, 9, 5000, 10


@dataclass(frozen=True)
class Member:
    """One attack of an ensemble.

    Args:
        name: what it is called in results.
        attack: the optimiser.
        loss: what it climbs, a name of :data:`robust_det.attacks.OBJECTIVES` or such a loss.
        targets: how many classes it aims at, one after the other; 0 is untargeted.
    """

    name: str
    attack: Attack
    loss: str | LogitLoss
    targets: int = 0

    @property
    def passes(self) -> Passes:
        """What the attack costs an image at most, with a look at what it returns."""
        forward, backward = self.attack.passes
        runs = max(self.targets, 1)
        return Passes(runs * (forward + 1), runs * backward)


@dataclass(frozen=True)
class Budget:
    """A sequence of attacks.

    Args:
        name: one of :data:`BUDGETS`.
        members: the attacks, in order.
        notes: in what it differs from its description, a sentence each.
    """

    name: str
    members: tuple[Member, ...]
    notes: tuple[str, ...] = ()

    @property
    def passes(self) -> Passes:
        """What an image costs at most, with a look at it as it is and one at what fooled."""
        forward = sum(member.passes.forward for member in self.members)
        return Passes(2 + forward, sum(member.passes.backward for member in self.members))


def budget(name: str, threat: ThreatModel, classes: int) -> Budget:
    """Return the attacks of a name, for images of any size.

    An image that stands to the end costs, where there are ten classes or more: ``quick`` 26 forward
    and 20 backward passes; ``standard`` 1,022 and 1,010; ``autoattack`` 7,833 and 1,910. One that
    falls costs no more than what it fell by.

    Args:
        name: ``"quick"``, ``"standard"`` or ``"autoattack"``.
        threat: what may be changed.
        classes: of the network, >= 2. With fewer than ten, fewer are aimed at; with fewer than
            four, the targeted DLR is undefined and the margin takes its place, which is noted.

    Raises:
        UserError: the name is unknown, or there are fewer than 2 classes.
    """
    if name not in BUDGETS:
        hint = did_you_mean(name, BUDGETS)
        raise UserError(f"unknown budget '{name}'{hint} (known: {', '.join(BUDGETS)})")
    if classes < 2:
        raise UserError(f"attacks need a network of 2 classes or more, not {classes}")
    if name == "quick":
        return Budget(name, _quick(threat))
    targets, notes = min(_CLASSES, classes - 1), []
    if targets < _CLASSES:
        aims = counted(targets, "class", "es")
        notes.append(f"aims at {aims} instead of {_CLASSES}, as there are {classes}")
    if classes < 4:
        notes.append(f"climbs the margin: {classes} classes have no targeted DLR")
    loss = "dlr" if classes >= 4 else "margin"
    apgd = APGD(threat, _STEPS)
    members: tuple[Member, ...] = (
        Member("apgd-ce", apgd, "cross_entropy"),
        Member("apgd-t", apgd, loss, targets),
    )
    if name == "autoattack":
        members += (
            Member("fab-t", FAB(threat, _STEPS), lead, targets),
            Member("square", Square(threat, _QUERIES), "margin"),
        )
    return Budget(name, members, tuple(notes))


def _quick(threat: ThreatModel) -> tuple[Member, ...]:
    attack = PGD(
        threat,
        _QUICK_STEPS,
        2.5 * threat.eps / _QUICK_STEPS,
        random_start=True,
        best_iterate=True,
    )
    return Member("pgd-ce", attack, "cross_entropy"), Member("pgd-margin", attack, "margin")
