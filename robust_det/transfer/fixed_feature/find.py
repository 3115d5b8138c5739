"""From a config to the head that it asks for."""

from __future__ import annotations

import torch

from robust_det.core.config.reading import CfgNode
from robust_det.core.errors import UserError
from robust_det.data.transfer.metrics import accuracies
from robust_det.transfer.fixed_feature.extracted import Extracted
from robust_det.transfer.fixed_feature.heads import (
    FoundHead,
    logreg_head,
    nearest_head,
    ridge_head,
)
from robust_det.transfer.settings import KNN, RIDGE

__all__ = ["find_head"]


def find_head(cfg: CfgNode, found: Extracted, classes: int, headline: str) -> FoundHead:
    """Choose and fit a head, on the device of the features.

    Args:
        cfg: a resolved config.
        found: the features.
        classes: K.
        headline: the metric that it is chosen by.

    Raises:
        UserError: the images do not suffice.
    """

    def accuracy(predicted: torch.Tensor, labels: torch.Tensor) -> float:
        return accuracies(predicted.cpu().numpy(), labels.cpu().numpy())[headline]

    transfer, test_chooses = cfg.TRANSFER, cfg.PAPER.SELECT_ON_TEST
    everything = found.train + found.val
    if transfer.HEAD == RIDGE:
        test = found.test if test_chooses else None
        return ridge_head(everything, classes, transfer.STRENGTHS, accuracy, test)
    if not test_chooses and not len(found.val.labels):
        raise UserError(
            "there is no class with two training images, of which one could be held out to choose"
            " by; add images, or take TRANSFER.HEAD ridge"
        )
    train = everything if test_chooses else found.train
    chosen_on = found.test if test_chooses else found.val
    if transfer.HEAD == KNN:
        return nearest_head(train, chosen_on, classes, transfer.NEIGHBOURS, accuracy, test_chooses)
    return logreg_head(train, chosen_on, classes, transfer.STRENGTHS, accuracy, test_chooses)
