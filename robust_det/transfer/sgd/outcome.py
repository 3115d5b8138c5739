"""What comes out of a transfer by SGD."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from robust_det.models import Classifier
from robust_det.records.transfer import ChosenOn, Tried

__all__ = ["Outcome"]


@dataclass(frozen=True)
class Outcome:
    """A transferred classifier, and how its settings were chosen.

    Attributes:
        classifier: with its card, in eval mode, on the device.
        weights: its file, which :func:`robust_det.load_classifier` reads.
        chosen: ``lr``, ``weight_decay`` and ``epochs``; if the head was trained first, also
            ``head_lr`` and so on.
        on: the images that chose, see :class:`~robust_det.records.transfer.Selection`.
        tried: all settings, with the accuracy that they were chosen by.
        remarks: what speaks against the choice, or should be known of it, a sentence each.
        seconds: of training, in all runs and sessions.
    """

    classifier: Classifier
    weights: Path
    chosen: dict[str, float]
    on: ChosenOn
    tried: list[Tried]
    remarks: list[str]
    seconds: float
