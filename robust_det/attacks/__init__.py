"""Attacks: a threat model, an optimiser and an objective. Images are in [0, 1]; eps is in the same
units."""

from robust_det.attacks.apgd import APGD
from robust_det.attacks.budgets import BUDGETS, Budget, Member, budget
from robust_det.attacks.checks import Check, check_attacks
from robust_det.attacks.ensemble import WorstCase, worst_case
from robust_det.attacks.fab import FAB
from robust_det.attacks.frozen import frozen
from robust_det.attacks.interface import Attack, Noise, Objective, Passes, TrainingAttack
from robust_det.attacks.objectives import (
    OBJECTIVES,
    classifier_objective,
    count_not_finite,
    get_objective,
)
from robust_det.attacks.pgd import PGD
from robust_det.attacks.square import Square
from robust_det.attacks.threat import NORMS, L2Ball, LinfBall, ThreatModel, make_threat

__all__ = [
    "APGD",
    "BUDGETS",
    "FAB",
    "NORMS",
    "OBJECTIVES",
    "PGD",
    "Attack",
    "Budget",
    "Check",
    "L2Ball",
    "LinfBall",
    "Member",
    "Noise",
    "Objective",
    "Passes",
    "Square",
    "ThreatModel",
    "TrainingAttack",
    "WorstCase",
    "budget",
    "check_attacks",
    "classifier_objective",
    "count_not_finite",
    "frozen",
    "get_objective",
    "make_threat",
    "worst_case",
]
