"""One run of training among those of a transfer."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from robust_det.classification.starting import Start
from robust_det.core.config.reading import CfgNode

__all__ = ["Run"]


@dataclass(frozen=True)
class Run:
    """One run of training.

    Attributes:
        folder: its own.
        cfg: with one learning rate and one weight decay.
        head_alone: whether the last layer learns alone.
        trained: the split that is trained on.
        judged: the split that is validated on; empty if none is.
        start: the weights to start from.
        new_head: whether their last layer is replaced.
        epochs: after which it ends, within the schedule of ``TRAIN.EPOCHS``.
        patience: see :class:`~robust_det.training.engine.Plan`.
    """

    folder: Path
    cfg: CfgNode
    head_alone: bool
    trained: str
    judged: str
    start: Start
    new_head: bool
    epochs: int
    patience: int = 0

    def said(self) -> dict[str, Any]:
        """Return what a checkpoint says of it beside its config."""
        return {
            "head_alone": self.head_alone,
            "trained": self.trained,
            "judged": self.judged,
            "epochs": self.epochs,
            "started_from": self.start.sha256,
        }
