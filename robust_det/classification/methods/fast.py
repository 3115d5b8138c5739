"""Fast adversarial training: PGD-AT by one step from a random start (Wong et al. 2020).

Cheapest of all, and it can collapse: see :mod:`.collapse`.
"""

from __future__ import annotations

import dataclasses
from fractions import Fraction

from robust_det.classification.methods import pgd

__all__ = ["KIND"]

KIND = dataclasses.replace(
    pgd.KIND,
    source="Wong et al. 2020",
    step_size=Fraction(5, 4),
    fixed={"ATTACK.NAME": "pgd", "ATTACK.STEPS": 1, "ATTACK.RANDOM_START": True},
)
