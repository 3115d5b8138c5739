"""What may enter a mean: the one rule of comparison, of questions and of ``records check``."""

from robust_det.analysis.admission.causes import BY_SETTING, Admission, LeftOut
from robust_det.analysis.admission.check import Checked, check
from robust_det.analysis.admission.rule import admit

__all__ = ["BY_SETTING", "Admission", "Checked", "LeftOut", "admit", "check"]
