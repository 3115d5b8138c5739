"""Methods of adversarial training: a file each, and one for each switch beside them."""

from robust_det.classification.methods.awp import WeightPerturbation
from robust_det.classification.methods.method import Inner, Method
from robust_det.classification.methods.pgd import PGDTraining
from robust_det.classification.methods.registry import METHODS
from robust_det.classification.methods.separate_norms import CleanNorms
from robust_det.classification.methods.trained import Trained

__all__ = [
    "METHODS",
    "CleanNorms",
    "Inner",
    "Method",
    "PGDTraining",
    "Trained",
    "WeightPerturbation",
]
