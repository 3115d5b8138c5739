"""The files that an evaluation leaves, for later analysis without a GPU."""

from __future__ import annotations

from pathlib import Path

from detectron2.config import CfgNode

from robust_det.core.files import sha256_file
from robust_det.records.base import File

__all__ = [
    "DETECTIONS_NAME",
    "PANOPTIC_NAME",
    "SEMANTIC_NAME",
    "evaluation_folder",
    "saved_detections",
    "saved_segmentations",
]

DETECTIONS_NAME = "coco_instances_results.json"
SEMANTIC_NAME = "sem_seg_predictions.json"
PANOPTIC_NAME = "panoptic_predictions.json"


def evaluation_folder(cfg: CfgNode, name: str) -> Path:
    """Return where the files of a test set go."""
    return Path(cfg.OUTPUT_DIR) / "inference" / name


def saved_detections(cfg: CfgNode) -> dict[str, File]:
    """Return by data set the detections that an evaluation wrote.

    Paths are relative to ``OUTPUT_DIR``. A test set without a file, as nothing was evaluated, is
    left out.
    """
    found = {name: _described(cfg, name, DETECTIONS_NAME) for name in cfg.DATASETS.TEST}
    return {name: file for name, file in found.items() if file}


def saved_segmentations(cfg: CfgNode) -> dict[str, dict[str, File]]:
    """Return by data set and task the segmentations, as there."""
    found = {}
    for name in cfg.DATASETS.TEST:
        files = {
            "sem_seg": _described(cfg, name, SEMANTIC_NAME),
            "panoptic_seg": _described(cfg, name, PANOPTIC_NAME),
        }
        if any(files.values()):
            found[name] = {task: file for task, file in files.items() if file}
    return found


def _described(cfg: CfgNode, name: str, file: str) -> File | None:
    path = evaluation_folder(cfg, name) / file
    if not path.is_file():
        return None
    return File(path.relative_to(cfg.OUTPUT_DIR).as_posix(), sha256_file(path))
