"""A trained detector, ready to find objects: what prediction and export start from."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from detectron2.config import CfgNode
from detectron2.data.transforms import ResizeShortestEdge
from detectron2.modeling import build_model
from torch import nn

from robust_det.detection.checkpointer import RobustCheckpointer
from robust_det.detection.config import load_detector_config
from robust_det.detection.evaluation.augmented import with_test_time_augmentation
from robust_det.detection.finetuning.switches import accelerate_model

__all__ = ["Detector", "load_detector"]


@dataclass(frozen=True)
class Detector:
    """A detector in evaluation mode on its device.

    Attributes:
        cfg: its complete config.
        model: takes and gives what Detectron2's models do.
        finder: what finds objects as the config says: the model, with test-time augmentation if
            ``TEST.AUG`` asks for it; takes and gives the same.
        path: its file.
        categories: ``{"id", "name"}`` of its classes in their order.
    """

    cfg: CfgNode
    model: nn.Module
    finder: nn.Module
    path: Path
    categories: list[dict[str, Any]]

    @property
    def resize(self) -> ResizeShortestEdge:
        """What images go through before the model, as in evaluation."""
        size = self.cfg.INPUT.MIN_SIZE_TEST
        return ResizeShortestEdge([size, size], self.cfg.INPUT.MAX_SIZE_TEST)


def load_detector(
    config: str,
    overrides: Sequence[str] = (),
    weights: str | Path | None = None,
    backbone: str | None = None,
) -> Detector:
    """Load a trained detector; its data and its backbone's file are not needed.

    Args, Raises: see :func:`~.config.load_detector_config`.
    """
    cfg, path, categories = load_detector_config(config, overrides, weights, backbone)
    model = accelerate_model(cfg, build_model(cfg)).eval()
    RobustCheckpointer(model).load(str(path))
    finder = with_test_time_augmentation(cfg, model)
    return Detector(cfg, model, finder, path, categories)
