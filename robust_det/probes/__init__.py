"""Linear and nearest neighbour classifiers of features from frozen backbones, on matrices alone.

Which backbone suits some images, in minutes on a CPU: features (N, D) float32 or float64, labels
(N,) int64 in [0, K). What comes out is on the features' device.
"""

from robust_det.probes.choice import Choice, choose, refit
from robust_det.probes.head import LinearHead
from robust_det.probes.intervals import accuracy_interval, difference_interval
from robust_det.probes.logme import Evidence, evidence, logme
from robust_det.probes.logreg import STRENGTHS, LogisticFit, fit, strengths
from robust_det.probes.nearest import TEMPERATURE, nearest_neighbours
from robust_det.probes.ridge import Ridge

__all__ = [
    "STRENGTHS",
    "TEMPERATURE",
    "Choice",
    "Evidence",
    "LinearHead",
    "LogisticFit",
    "Ridge",
    "accuracy_interval",
    "choose",
    "difference_interval",
    "evidence",
    "fit",
    "logme",
    "nearest_neighbours",
    "refit",
    "strengths",
]
