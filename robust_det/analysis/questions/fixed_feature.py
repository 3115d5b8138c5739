"""Frozen backbones: does a robust one give better features? (Salman et al. 2020, section 3.1)"""

from __future__ import annotations

from robust_det.analysis.questions.answer import Answer
from robust_det.analysis.questions.collecting import FIXED_FEATURE
from robust_det.analysis.questions.evidence import Evidence
from robust_det.analysis.questions.robust_gain import gain_of_reported, gain_of_runs

__all__ = ["ASKS", "NAME", "of_reported", "of_runs"]

NAME = "fixed-feature"
ASKS = "Do frozen robust backbones transfer better than standard ones?"
_COMMANDS = (
    "robust-det sweep --output output/transfer --run 'transfer --config transfer_dtd.yaml"
    " --backbone resnet50_l2_eps{0,3} --mode fixed-feature SEED {0..2}'",
)


def of_runs(evidence: Evidence) -> Answer:
    """Answer from records; see :func:`.gain_of_runs`."""
    return gain_of_runs(NAME, ASKS, FIXED_FEATURE, evidence, _COMMANDS)


def of_reported() -> Answer:
    """Answer from the reported figures."""
    return gain_of_reported(NAME, ASKS, FIXED_FEATURE)
