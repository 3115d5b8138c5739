"""The keys of a pretraining config, with their defaults and their checks."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

from robust_det.attacks import PGD, get_objective, make_threat
from robust_det.core.config import CfgNode, find_config, load_raw, merge_config, overrides_to_dict
from robust_det.core.device import AMP_DTYPES
from robust_det.core.errors import UserError, did_you_mean
from robust_det.models import IMAGENET_MEAN, IMAGENET_STD, get_architecture

__all__ = [
    "SCHEDULES",
    "eval_attack",
    "load_config",
    "memory_layout",
    "pretrain_defaults",
    "train_attack",
]

SCHEDULES = ("step", "cosine", "onecycle")


def pretrain_defaults() -> CfgNode:
    """Return the defaults: the paper's ImageNet recipe at eps 0 (Salman et al. 2020)."""
    cfg = CfgNode()
    cfg.OUTPUT_DIR = "output/pretrain"
    cfg.SEED = 0
    cfg.DEVICE = "auto"  # auto | cpu | cuda | cuda:N

    cfg.MODEL = CfgNode()
    cfg.MODEL.ARCH = "resnet50"
    cfg.MODEL.MEAN = list(IMAGENET_MEAN)
    cfg.MODEL.STD = list(IMAGENET_STD)

    cfg.DATA = CfgNode()
    cfg.DATA.ROOT = "datasets/imagenet"
    cfg.DATA.IMAGE_SIZE = 224
    cfg.DATA.RESIZE = 256  # short side before the central crop of validation
    cfg.DATA.CROP_SCALE = [0.08, 1.0]
    cfg.DATA.FLIP = True
    cfg.DATA.COLOR_JITTER = 0.0
    cfg.DATA.WORKERS = 8
    cfg.DATA.ON_CORRUPT = "stop"  # stop | skip

    # eps and step size are in [0, 1] pixel units; fractions such as 4/255 are understood
    cfg.ATTACK = CfgNode()
    cfg.ATTACK.NORM = "l2"  # l2 | linf
    cfg.ATTACK.EPS = 0.0  # 0 is standard training
    cfg.ATTACK.STEPS = 3
    cfg.ATTACK.STEP_SIZE = 0.0  # 0 means 2/3 of eps, the paper's rule
    cfg.ATTACK.RANDOM_START = False
    cfg.ATTACK.ITERATE = "last"  # last | best
    cfg.ATTACK.OBJECTIVE = "cross_entropy"  # cross_entropy | margin | dlr
    # fold batch norms into convolutions in the attack's passes: the same but for rounding, faster
    cfg.ATTACK.FOLD_NORMS = True

    cfg.TRAIN = CfgNode()
    cfg.TRAIN.EPOCHS = 90
    cfg.TRAIN.BATCH_SIZE = 512  # images an optimiser step, over all processes
    cfg.TRAIN.ACCUMULATE = 1  # passes an optimiser step; each takes a part of the batch
    cfg.TRAIN.PRECISION = "fp32"  # fp32 | bf16 | fp16
    cfg.TRAIN.CHANNELS_LAST = False
    cfg.TRAIN.COMPILE = False
    cfg.TRAIN.CHECKPOINT_STEPS = 0  # also save every N steps; 0 saves at the end of epochs only

    cfg.OPTIM = CfgNode()
    cfg.OPTIM.LR = 0.1
    cfg.OPTIM.MOMENTUM = 0.9
    cfg.OPTIM.NESTEROV = False
    cfg.OPTIM.WEIGHT_DECAY = 1e-4
    cfg.OPTIM.SCHEDULE = "step"  # step | cosine | onecycle
    cfg.OPTIM.STEP_EPOCHS = 30  # step: epochs between drops
    cfg.OPTIM.GAMMA = 0.1  # step: factor of a drop
    cfg.OPTIM.WARMUP_EPOCHS = 0.0  # linear warm-up; onecycle: length of the rising part
    cfg.OPTIM.LABEL_SMOOTHING = 0.0
    cfg.OPTIM.EMA_DECAY = 0.0  # 0 is no moving average of the weights
    cfg.OPTIM.CLIP_NORM = 0.0  # largest gradient norm; 0 is no clipping

    cfg.EVAL = CfgNode()
    cfg.EVAL.EPOCHS = 1  # validate every N epochs, and at the end
    cfg.EVAL.BATCH_SIZE = 256
    cfg.EVAL.NORM = ""  # the training norm if empty
    cfg.EVAL.EPS = -1.0  # the training eps if negative
    cfg.EVAL.STEPS = 10
    cfg.EVAL.STEP_SIZE = 0.0  # 0 means 2.5 * eps / steps (Madry et al. 2018)
    cfg.EVAL.OBJECTIVE = "cross_entropy"  # cross_entropy | margin | dlr
    cfg.EVAL.RESTARTS = 1  # random starts, of which each image counts the worst
    cfg.EVAL.ADVERSARIAL_IMAGES = 0  # attack only the first N (evenly spread); 0 is all
    return cfg


def load_config(name: str, overrides: Sequence[str] = ()) -> CfgNode:
    """Read a config file and overrides, check them, and freeze the result.

    Args:
        name: path, or a bare file name below ``configs/``.
        overrides: ``KEY VALUE`` pairs.

    Raises:
        UserError: a key or a value is wrong.
    """
    cfg = pretrain_defaults()
    merge_config(cfg, load_raw(find_config(name)))
    merge_config(cfg, overrides_to_dict(overrides))
    _check(cfg)
    cfg.freeze()
    return cfg


def train_attack(cfg: CfgNode) -> PGD:
    """Return the attack that makes the training examples."""
    eps = cfg.ATTACK.EPS
    return PGD(
        threat=make_threat(cfg.ATTACK.NORM, eps),
        steps=cfg.ATTACK.STEPS,
        step_size=cfg.ATTACK.STEP_SIZE or eps * 2 / 3,
        random_start=cfg.ATTACK.RANDOM_START,
        best_iterate=cfg.ATTACK.ITERATE == "best",
    )


def eval_attack(cfg: CfgNode) -> PGD:
    """Return the attack of validation; its eps may be 0, which is no attack."""
    eps = cfg.ATTACK.EPS if cfg.EVAL.EPS < 0 else cfg.EVAL.EPS
    return PGD(
        threat=make_threat(cfg.EVAL.NORM or cfg.ATTACK.NORM, eps),
        steps=cfg.EVAL.STEPS,
        step_size=cfg.EVAL.STEP_SIZE or 2.5 * eps / max(cfg.EVAL.STEPS, 1),
        random_start=True,
        best_iterate=True,
        restarts=cfg.EVAL.RESTARTS,
    )


def memory_layout(cfg: CfgNode) -> torch.memory_format:
    """Return the memory format of weights and images."""
    return torch.channels_last if cfg.TRAIN.CHANNELS_LAST else torch.contiguous_format


def _check(cfg: CfgNode) -> None:
    get_architecture(cfg.MODEL.ARCH)
    for key, value, known in (
        ("ATTACK.ITERATE", cfg.ATTACK.ITERATE, ("last", "best")),
        ("DATA.ON_CORRUPT", cfg.DATA.ON_CORRUPT, ("stop", "skip")),
        ("OPTIM.SCHEDULE", cfg.OPTIM.SCHEDULE, SCHEDULES),
        ("TRAIN.PRECISION", cfg.TRAIN.PRECISION, tuple(AMP_DTYPES)),
    ):
        if value not in known:
            choices = ", ".join(known)
            raise UserError(f"{key} is one of {choices}, not '{value}'{did_you_mean(value, known)}")
    get_objective(cfg.ATTACK.OBJECTIVE)
    get_objective(cfg.EVAL.OBJECTIVE)
    _check_numbers(cfg)
    train_attack(cfg)
    eval_attack(cfg)
    if (len(cfg.MODEL.MEAN), len(cfg.MODEL.STD)) != (3, 3) or not all(
        0 <= mean <= 1 and 0 < std <= 1
        for mean, std in zip(cfg.MODEL.MEAN, cfg.MODEL.STD, strict=True)
    ):
        raise UserError(
            "MODEL.MEAN and MODEL.STD need three numbers each, RGB in [0, 1], and STD above 0"
        )
    if not cfg.OUTPUT_DIR:
        raise UserError("OUTPUT_DIR is empty; give a folder")
    scale = cfg.DATA.CROP_SCALE
    if len(scale) != 2 or not 0 < scale[0] <= scale[1] <= 1:
        raise UserError(f"DATA.CROP_SCALE needs two rising numbers in (0, 1], not {scale}")
    if cfg.DATA.RESIZE < cfg.DATA.IMAGE_SIZE:
        raise UserError("DATA.RESIZE must not be below DATA.IMAGE_SIZE")
    if Path(cfg.OUTPUT_DIR).is_file():
        raise UserError(f"OUTPUT_DIR {cfg.OUTPUT_DIR} is a file; give a folder")


def _check_numbers(cfg: CfgNode) -> None:
    # (key, lowest value allowed, whether that value itself is)
    limits: list[tuple[str, Any, bool]] = [
        ("ATTACK.EPS", 0, True),
        ("ATTACK.STEPS", 1 if cfg.ATTACK.EPS > 0 else 0, True),
        ("ATTACK.STEP_SIZE", 0, True),
        ("DATA.IMAGE_SIZE", 8, True),
        ("DATA.COLOR_JITTER", 0, True),
        ("DATA.WORKERS", 0, True),
        ("EVAL.ADVERSARIAL_IMAGES", 0, True),
        ("EVAL.BATCH_SIZE", 1, True),
        ("EVAL.EPOCHS", 1, True),
        ("EVAL.RESTARTS", 1, True),
        ("EVAL.STEPS", 1, True),
        ("EVAL.STEP_SIZE", 0, True),
        ("OPTIM.CLIP_NORM", 0, True),
        ("OPTIM.EMA_DECAY", 0, True),
        ("OPTIM.LABEL_SMOOTHING", 0, True),
        ("OPTIM.LR", 0, False),
        ("OPTIM.MOMENTUM", 0, True),
        ("OPTIM.STEP_EPOCHS", 1, True),
        ("OPTIM.WARMUP_EPOCHS", 0, True),
        ("OPTIM.WEIGHT_DECAY", 0, True),
        ("SEED", 0, True),
        ("TRAIN.ACCUMULATE", 1, True),
        ("TRAIN.BATCH_SIZE", 2, True),
        ("TRAIN.CHECKPOINT_STEPS", 0, True),
        ("TRAIN.EPOCHS", 1, True),
    ]
    for key, lowest, inclusive in limits:
        section, _, leaf = key.rpartition(".")
        value = (cfg[section] if section else cfg)[leaf]
        if not (value >= lowest if inclusive else value > lowest):
            raise UserError(
                f"{key} must be {'at least' if inclusive else 'above'} {lowest}, not {value}"
            )
    if cfg.SEED >= 2**32:
        raise UserError(f"SEED must be below 2**32, not {cfg.SEED}")
    if cfg.OPTIM.NESTEROV and cfg.OPTIM.MOMENTUM == 0:
        raise UserError("OPTIM.NESTEROV needs OPTIM.MOMENTUM above 0")
    for key, value in (
        ("OPTIM.EMA_DECAY", cfg.OPTIM.EMA_DECAY),
        ("OPTIM.LABEL_SMOOTHING", cfg.OPTIM.LABEL_SMOOTHING),
        ("OPTIM.MOMENTUM", cfg.OPTIM.MOMENTUM),
    ):
        if value >= 1:
            raise UserError(f"{key} must be below 1, not {value}")
    if cfg.OPTIM.WARMUP_EPOCHS >= cfg.TRAIN.EPOCHS:
        raise UserError("OPTIM.WARMUP_EPOCHS must be below TRAIN.EPOCHS")
