"""Detectron2's trainer with this project's checkpoints, evaluation and progress."""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import Any

from detectron2.config import CfgNode
from detectron2.engine import DefaultTrainer, HookBase
from detectron2.evaluation import COCOEvaluator, DatasetEvaluator
from detectron2.utils import comm
from detectron2.utils.events import CommonMetricPrinter, JSONWriter, TensorboardXWriter

from robust_det.checkpoints.backbone_file import BackboneCard
from robust_det.detection.checkpointer import RobustCheckpointer
from robust_det.detection.progress import ProgressHook, Stopwatch, WithProgress
from robust_det.detection.stopping import StopHook

__all__ = ["RobustTrainer"]


class RobustTrainer(DefaultTrainer):
    """:class:`DefaultTrainer` with safe checkpoints, COCO evaluation and a progress bar.

    Args:
        cfg: a complete config.
        card: of the backbone, kept in every checkpoint.
    """

    checkpointer: Any

    def __init__(self, cfg: CfgNode, card: BackboneCard | None = None) -> None:
        self._card = card
        self.seconds = Stopwatch()
        super().__init__(cfg)

    def build_hooks(self) -> list[HookBase]:
        # DefaultTrainer makes its own checkpointer right before it calls this
        self.checkpointer = RobustCheckpointer(
            self.checkpointer.model,
            self.cfg.OUTPUT_DIR,
            card=self._card,
            **self.checkpointer.checkpointables,
            seconds=self.seconds,
        )
        bar = [ProgressHook()] if comm.is_main_process() else []
        # first: the bar counts a step before the other hooks evaluate, and goes before they do
        return [*bar, *super().build_hooks(), StopHook()]

    def build_writers(self) -> list[Any]:
        folder = Path(self.cfg.OUTPUT_DIR)
        return [
            CommonMetricPrinter(self.max_iter),
            JSONWriter(str(folder / "metrics.json")),
            TensorboardXWriter(str(folder / "tensorboard")),
        ]

    @classmethod
    def build_evaluator(cls, cfg: CfgNode, dataset_name: str) -> DatasetEvaluator:
        folder = Path(cfg.OUTPUT_DIR) / "inference" / dataset_name
        # named, as a detector that finds nothing would seem to have no masks
        tasks = ["bbox", *["segm"] * cfg.MODEL.MASK_ON, *["keypoints"] * cfg.MODEL.KEYPOINT_ON]
        # the fast one needs C++ that a pure-Python Detectron2 lacks; this is the reference
        return COCOEvaluator(dataset_name, tasks, output_dir=str(folder), use_fast_impl=False)

    @classmethod
    def test(cls, cfg: CfgNode, model: Any, evaluators: Any = None) -> Any:
        # pycocotools prints its tables; they belong into the log, the terminal shows the AP
        with open(Path(cfg.OUTPUT_DIR) / "log.txt", "a") as log, contextlib.redirect_stdout(log):
            return super().test(cfg, model, evaluators)

    @classmethod
    def build_test_loader(cls, cfg: CfgNode, dataset_name: str) -> Any:
        loader = super().build_test_loader(cfg, dataset_name)
        return WithProgress(loader, f"evaluate {dataset_name}", comm.is_main_process())
