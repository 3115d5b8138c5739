"""Threat models and attacks. Images are in [0, 1]; eps is in the same units."""

from robust_det.attacks.pgd import PGD
from robust_det.attacks.threat import NORMS, L2Ball, LinfBall, ThreatModel, make_threat

__all__ = ["NORMS", "PGD", "L2Ball", "LinfBall", "ThreatModel", "make_threat"]
