"""Checks of masked gradients beside the figures, on some of the images."""

from __future__ import annotations

import torch
from torch import nn

from robust_det.attacks.checks import all_checks
from robust_det.attacks.threat import ThreatModel
from robust_det.core.progress import progress_bar
from robust_det.records.robustness import CheckFigure, CheckOutcome, Checks

__all__ = ["checked"]


def checked(
    network: nn.Module,
    images: torch.Tensor,
    targets: torch.Tensor,
    threat: ThreatModel,
    seed: int,
) -> Checks:
    """Make all checks, with a progress bar; see :func:`robust_det.attacks.check_attacks`.

    Args:
        network: takes images (N, C, H, W) in [0, 1], returns logits (N, K).
        images: (N, C, H, W) float in [0, 1].
        targets: (N,) true classes.
        threat: what may be changed; its eps is above 0.
        seed: of all random numbers.
    """
    outcomes = []
    checks = all_checks(network, images, targets, threat, seed=seed)
    with progress_bar(len(checks), "checks", "check") as bar:
        for check in checks:
            found = check()
            figures = [CheckFigure(under, top1) for under, top1 in found.figures.items()]
            outcomes.append(CheckOutcome(found.name, found.passed, figures, found.meaning))
            bar.update()
    return Checks(threat.eps, len(images), outcomes)
