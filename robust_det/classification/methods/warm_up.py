"""Eps that rises from 0 over the first epochs, and all of the attack with it."""

from __future__ import annotations

from robust_det.attacks import TrainingAttack

__all__ = ["scaled", "strength"]


def strength(step: int, steps_per_epoch: int, epochs: float) -> float:
    """Return the share of eps in a step, counted from 0, that rises linearly to 1.

    Args:
        step: the optimiser's.
        steps_per_epoch: as the learning rate counts them.
        epochs: until it is 1; 0 is no warm-up.
    """
    if epochs == 0:
        return 1.0
    # the middle of the step, as the learning rate's: no first step at 0
    return min(1.0, (step + 0.5) / (epochs * steps_per_epoch))


def scaled(attack: TrainingAttack, share: float) -> TrainingAttack:
    """Return an attack whose eps and steps are this share of what they were."""
    return attack if share == 1 else attack.scaled(share)
