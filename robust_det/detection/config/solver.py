"""The device, and what the solver's keys may say."""

from __future__ import annotations

from detectron2.config import CfgNode

from robust_det.core.config.reading import COMMAND_LINE
from robust_det.core.device import AMP_DTYPES, resolve_device
from robust_det.core.errors import UserError
from robust_det.detection.config.adopt import Origins

__all__ = ["adopt_device", "check_solver", "scale_learning_rate"]


def adopt_device(cfg: CfgNode, origins: Origins) -> None:
    """Let ``MODEL.DEVICE`` name a device that is there."""
    if cfg.MODEL.DEVICE == "auto":
        origins.adopted["MODEL.DEVICE"] = "this machine"
    device = resolve_device(cfg.MODEL.DEVICE)
    # without a number: Detectron2 gives each of several processes its own GPU
    numbered = cfg.MODEL.DEVICE.startswith("cuda:")
    cfg.MODEL.DEVICE = str(device) if numbered else device.type


def check_solver(cfg: CfgNode) -> None:
    """Refuse values that are out of range, or of the wrong one of two keys.

    Raises:
        UserError: with the key.
    """
    if cfg.SOLVER.AMP.ENABLED:
        raise UserError("SOLVER.AMP.ENABLED is SOLVER.PRECISION here; set that to fp16 or bf16")
    if cfg.SOLVER.PRECISION not in AMP_DTYPES:
        known = ", ".join(AMP_DTYPES)
        raise UserError(f"unknown SOLVER.PRECISION '{cfg.SOLVER.PRECISION}'; use {known}")
    if cfg.SOLVER.MAX_ITER < 1:
        raise UserError(f"SOLVER.MAX_ITER is {cfg.SOLVER.MAX_ITER}; it starts from 1")
    # Detectron2 leaves out those that are above, but not the end itself
    steps = [0, *(step for step in cfg.SOLVER.STEPS if step <= cfg.SOLVER.MAX_ITER)]
    wrong = steps != sorted(set(steps)) or steps[-1] == cfg.SOLVER.MAX_ITER
    if wrong and cfg.SOLVER.LR_SCHEDULER_NAME == "WarmupMultiStepLR":
        raise UserError(
            f"SOLVER.STEPS is {list(cfg.SOLVER.STEPS)}; its iterations rise, are above 0, and none"
            f" is SOLVER.MAX_ITER, {cfg.SOLVER.MAX_ITER}, itself"
        )
    if cfg.SOLVER.ACCUMULATE < 1:
        raise UserError(f"SOLVER.ACCUMULATE is {cfg.SOLVER.ACCUMULATE}; it starts from 1")
    if cfg.SOLVER.CLIP_NORM < 0:
        raise UserError(
            f"SOLVER.CLIP_NORM is {cfg.SOLVER.CLIP_NORM}; give the largest norm, 0 does not clip"
        )
    if not 0 <= cfg.SOLVER.EMA.DECAY < 1:
        raise UserError(f"SOLVER.EMA.DECAY is {cfg.SOLVER.EMA.DECAY}; it is below 1, as 0.9998")


def scale_learning_rate(cfg: CfgNode, origins: Origins) -> None:
    """Scale ``BASE_LR`` linearly to the batch actually used (Goyal et al. 2017, section 2.1).

    One that is given on the command line, or was scaled before, stays as it is.
    """
    solver = cfg.SOLVER
    batch = solver.IMS_PER_BATCH * solver.ACCUMULATE
    scaled_before = solver.LR_SCALED_BY != 1.0
    by_hand = origins.given.get("SOLVER.BASE_LR") == COMMAND_LINE
    if solver.REFERENCE_BATCH and not scaled_before and not by_hand:
        solver.LR_SCALED_BY = batch / solver.REFERENCE_BATCH
        solver.BASE_LR *= solver.LR_SCALED_BY
        source = f"scaled to a batch of {batch}"
        origins.adopted |= {"SOLVER.BASE_LR": source, "SOLVER.LR_SCALED_BY": source}
