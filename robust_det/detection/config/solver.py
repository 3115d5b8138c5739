"""The device, and what the solver's keys may say."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from detectron2.config import CfgNode

from robust_det.core.config.reading import COMMAND_LINE
from robust_det.core.device import AMP_DTYPES, resolve_device
from robust_det.core.errors import UserError
from robust_det.detection.config.adopt import Origins

__all__ = ["adopt_device", "check_solver", "scale_learning_rate", "settle_reference"]


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


def settle_reference(layer: Mapping[str, Any]) -> None:
    """Let the rate of a run's complete config be meant for the batch of that config, in place.

    Versions before kept a rate that was given by hand beside a ``REFERENCE_BATCH`` of others.

    Args:
        layer: the keys of one file, nested; those of a file that people wrote stay.
    """
    solver = layer.get("SOLVER")
    names = ("LR_SCALED_BY", "REFERENCE_BATCH", "IMS_PER_BATCH", "ACCUMULATE")
    if isinstance(solver, dict) and set(names) <= set(solver):
        scaled, reference, images, batches = (solver[name] for name in names)
        if reference and scaled == 1.0 and isinstance(images, int) and isinstance(batches, int):
            solver["REFERENCE_BATCH"] = images * batches


def scale_learning_rate(cfg: CfgNode, origins: Origins) -> None:
    """Scale ``BASE_LR`` linearly to the batch actually used (Goyal et al. 2017, section 2.1).

    One that was scaled before, in the same file, is scaled anew from what it was; one that is given
    on the command line without a ``REFERENCE_BATCH`` is meant for the batch used, which becomes its
    ``REFERENCE_BATCH``.

    Raises:
        UserError: ``REFERENCE_BATCH`` is negative, or ``LR_SCALED_BY`` is given by hand.
    """
    solver, given = cfg.SOLVER, origins.given
    rate, scaled, reference = (
        given.get(f"SOLVER.{leaf}") for leaf in ("BASE_LR", "LR_SCALED_BY", "REFERENCE_BATCH")
    )
    if scaled == COMMAND_LINE:
        raise UserError(
            "SOLVER.LR_SCALED_BY follows from SOLVER.REFERENCE_BATCH and the batch; leave it out,"
            " and set SOLVER.BASE_LR"
        )
    if solver.REFERENCE_BATCH < 0:
        raise UserError(
            f"SOLVER.REFERENCE_BATCH is {solver.REFERENCE_BATCH}; give the images for which"
            " SOLVER.BASE_LR is meant, 0 never scales it"
        )
    batch = solver.IMS_PER_BATCH * solver.ACCUMULATE
    # by another file, the rate is one that nobody has scaled
    before = solver.LR_SCALED_BY if scaled == rate else 1.0
    solver.LR_SCALED_BY = 1.0
    if not solver.REFERENCE_BATCH:
        return
    if rate == COMMAND_LINE != reference:
        solver.REFERENCE_BATCH = batch
        origins.adopted["SOLVER.REFERENCE_BATCH"] = "SOLVER.BASE_LR, given for this batch"
        return
    solver.LR_SCALED_BY = batch / solver.REFERENCE_BATCH
    if before != solver.LR_SCALED_BY:  # else to the bit what it was
        solver.BASE_LR *= solver.LR_SCALED_BY / before
    source = f"scaled to a batch of {batch}"
    origins.adopted |= {"SOLVER.BASE_LR": source, "SOLVER.LR_SCALED_BY": source}
