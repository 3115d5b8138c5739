"""Attacks: a threat model, an optimiser and an objective. Images are in [0, 1]; eps is in the same
units."""

from robust_det.attacks.frozen import frozen
from robust_det.attacks.interface import Attack, Noise, Objective
from robust_det.attacks.objectives import (
    OBJECTIVES,
    classifier_objective,
    count_not_finite,
    get_objective,
)
from robust_det.attacks.pgd import PGD
from robust_det.attacks.threat import NORMS, L2Ball, LinfBall, ThreatModel, make_threat

__all__ = [
    "NORMS",
    "OBJECTIVES",
    "PGD",
    "Attack",
    "L2Ball",
    "LinfBall",
    "Noise",
    "Objective",
    "ThreatModel",
    "classifier_objective",
    "count_not_finite",
    "frozen",
    "get_objective",
    "make_threat",
]
