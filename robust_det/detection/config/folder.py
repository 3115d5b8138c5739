"""The folder of a run that says nothing of one."""

from __future__ import annotations

from pathlib import Path

from detectron2.config import CfgNode

from robust_det.detection.config.adopt import Origins
from robust_det.zoo.locate import PREFIX

__all__ = ["RUNS", "adopt_folder", "folder_of_run", "name_of_backbone"]

# below which runs lie whose configs do not say where
RUNS = Path("output/detection")


def name_of_backbone(weights: str) -> str:
    """Return the name of a backbone, of ``robust://NAME`` or of its file; empty without weights."""
    return weights.removeprefix(PREFIX) if weights.startswith(PREFIX) else Path(weights).stem


def folder_of_run(name: str, weights: str, seed: int = 0, init: str = "") -> str:
    """Return ``output/detection/NAME_BACKBONE``, with the seed if it is another than 0.

    Args:
        name: of the config, or the data.
        weights: see :func:`name_of_backbone`.
        seed: ``SEED``.
        init: the detector that it starts from, told by its folder.
    """
    parts = [name, name_of_backbone(weights), f"seed{seed}" if seed > 0 else ""]
    if init:
        parts.insert(2, f"from_{Path(init).absolute().parent.name}")
    return str(RUNS / "_".join(filter(None, parts)))


def adopt_folder(cfg: CfgNode, origins: Origins, config: str) -> None:
    """Let ``OUTPUT_DIR`` follow from config, backbone and seed, where nothing says it."""
    if not cfg.OUTPUT_DIR:
        model = cfg.MODEL
        cfg.OUTPUT_DIR = folder_of_run(
            Path(config).stem, model.WEIGHTS, cfg.SEED, model.INIT_DETECTOR
        )
        origins.adopted["OUTPUT_DIR"] = "config, backbone and seed"
