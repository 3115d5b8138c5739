"""Fine-tuned backbones, classifiers and detectors (Salman et al. 2020, sections 3.2 and 3.3)."""

from __future__ import annotations

from robust_det.analysis.questions.answer import Answer
from robust_det.analysis.questions.collecting import FULL_NETWORK
from robust_det.analysis.questions.evidence import Evidence
from robust_det.analysis.questions.robust_gain import gain_of_reported, gain_of_runs

__all__ = ["ASKS", "NAME", "of_reported", "of_runs"]

NAME = "full-network"
ASKS = "Are networks and detectors better that were fine-tuned from robust backbones?"
_COMMANDS = (
    "robust-det sweep --output output/transfer --run 'transfer --config transfer_dtd.yaml"
    " --backbone resnet50_l2_eps{0,3} --mode full-network SEED {0..2}'",
    "robust-det sweep --output output/detection --run '--config coco_mask_rcnn_fpn_1x.yaml"
    " --backbone resnet50_l2_eps{0,3} SEED {0..2}'",
)


def of_runs(evidence: Evidence) -> Answer:
    """Answer from records of transfers and of detectors; see :func:`.gain_of_runs`."""
    return gain_of_runs(NAME, ASKS, FULL_NETWORK, evidence, _COMMANDS)


def of_reported() -> Answer:
    """Answer from the reported figures, which have no detectors."""
    return gain_of_reported(NAME, ASKS, FULL_NETWORK)
