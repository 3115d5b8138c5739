"""The keys of a pretraining config, with their defaults and their checks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import torch

from robust_det.attacks import OBJECTIVES
from robust_det.attacks.threat import NORMS
from robust_det.classification.attack_settings import (
    ATTACKS,
    attack_switches,
    check_attacks,
    eval_attack,
)
from robust_det.classification.augmentation import check_augmentation
from robust_det.classification.methods import METHODS
from robust_det.classification.methods.keys import (
    OF_METHODS,
    check_method,
    method_switches,
    settle_method,
)
from robust_det.classification.optimizer_keys import (
    OPTIMIZERS,
    check_layer_decay,
    check_optimizer,
    optimizer_switches,
)
from robust_det.classification.stagewise import FREEZABLE
from robust_det.core.config.idle import Switch, refuse_idle
from robust_det.core.config.reading import (
    COMMAND_LINE,
    CfgNode,
    command_line,
    find_config,
    flatten,
    merge_layers,
    read_layers,
)
from robust_det.core.config.setting import Setting, add_defaults, check_settings
from robust_det.core.device import AMP_DTYPES
from robust_det.core.errors import UserError
from robust_det.core.seeding import SEEDS, check_seed
from robust_det.data.classification.sizes import usual_resize
from robust_det.models import ARCHITECTURES, IMAGENET_MEAN, IMAGENET_STD, check_image_size
from robust_det.training.schedule import SCHEDULES
from robust_det.training.trackers.trackers import SETTINGS as LOG_SETTINGS

__all__ = [
    "OF_TRAINING",
    "SETTINGS",
    "check_config",
    "check_size",
    "check_together",
    "explain",
    "idle_remarks",
    "load_config",
    "memory_layout",
    "pretrain_defaults",
]


# the defaults are the paper's ImageNet recipe at eps 0 (Salman et al. 2020)
SETTINGS = {
    "OUTPUT_DIR": Setting("output/pretrain", "folder of the run"),
    "SEED": Setting(0, "of weights, order, augmentation and attack", least=0, below=SEEDS),
    "DEVICE": Setting("auto", "auto, cpu, cuda or cuda:N"),
    "MODEL.ARCH": Setting("resnet50", "architecture", known=tuple(ARCHITECTURES), also="^timm:"),
    "MODEL.MEAN": Setting(list(IMAGENET_MEAN), "of the normalisation, RGB in [0, 1]"),
    "MODEL.STD": Setting(list(IMAGENET_STD), "of the normalisation, RGB in [0, 1]"),
    "MODEL.INIT": Setting("", "file, or robust:// name, to start from; --weights; empty is random"),
    "MODEL.FREEZE": Setting(
        "none", "the last stage that stays as MODEL.INIT has it, with all below it", FREEZABLE
    ),
    "MODEL.SEPARATE_NORMS": Setting(
        False, "batch norms of their own for clean images, in training alone (AdvProp)"
    ),
    "MODEL.SYNC_NORMS": Setting(
        False, "batch norms normalise by the images of all processes; on GPUs"
    ),
    "DATA.ROOT": Setting(
        "datasets/imagenet", "folder with train/<class>/ and val/<class>/, or ImageNet's tar files"
    ),
    "DATA.VAL": Setting("val", "folder of the validation images, below DATA.ROOT or anywhere"),
    "DATA.VAL_FRACTION": Setting(
        0.0,
        "split this part of each class's training images off for validation; 0 takes DATA.VAL",
        least=0,
        below=1,
    ),
    "DATA.VAL_SEED": Setting(
        0, "of that split, whatever SEED is: runs of all seeds have one", least=0, below=SEEDS
    ),
    "DATA.IMAGE_SIZE": Setting(224, "side of what the network sees, in pixels", least=8),
    "DATA.RESIZE": Setting(256, "short side before the central crop of validation, in pixels"),
    "DATA.CROP_SCALE": Setting([0.08, 1.0], "area of a training crop, as a share of the image's"),
    "DATA.FLIP": Setting(True, "flip half of the training images"),
    "DATA.COLOR_JITTER": Setting(0.0, "jitter of brightness, contrast, saturation", least=0),
    "DATA.LIGHTING": Setting(
        0.0, "noise along ImageNet's colour axes, its std; 0.1 in AlexNet's paper", least=0, below=1
    ),
    "DATA.RAND_AUGMENT": Setting(
        [0, 0], "operations an image, and their magnitude of 0 to 30; [2, 9] is usual"
    ),
    "DATA.RANDOM_ERASING": Setting(0.0, "probability that a rectangle is erased", least=0),
    "DATA.MIXUP": Setting(0.0, "alpha of mixup, such as 0.2; 0 is none", least=0),
    "DATA.CUTMIX": Setting(
        0.0, "alpha of CutMix, such as 1; with mixup, one of both is drawn a batch", least=0
    ),
    "DATA.REPEATS": Setting(
        1, "how often each image is in its batch, augmented anew each time", least=1
    ),
    "DATA.EXACT_DECODE": Setting(
        False, "training images by Pillow, bit for bit, at half the speed; validation always is"
    ),
    "DATA.WORKERS": Setting(8, "processes that decode images, for each training process", least=0),
    "DATA.ON_CORRUPT": Setting("stop", "at an image that cannot be read", ("stop", "skip")),
    "ATTACK.NORM": Setting("l2", "of the threat model", known=tuple(NORMS)),
    "ATTACK.EPS": Setting(
        0.0, "radius in [0, 1] pixel units, such as 4/255; 0 is standard training", least=0
    ),
    "ATTACK.NAME": Setting(
        "pgd", "of the attack; apgd sets its own steps, and keeps the best iterate", ATTACKS
    ),
    "ATTACK.STEPS": Setting(3, "of the attack", least=0),
    "ATTACK.STEP_SIZE": Setting(
        0.0, "0 means 2/3 of eps, the paper's rule; free: eps; fast: 1.25 eps", least=0
    ),
    "ATTACK.RANDOM_START": Setting(False, "start anywhere in the ball, not at the image"),
    "ATTACK.ITERATE": Setting("last", "which iterate is trained on", ("last", "best")),
    "ATTACK.OBJECTIVE": Setting("cross_entropy", "what it maximises", tuple(OBJECTIVES)),
    "ATTACK.FOLD_NORMS": Setting(
        True, "fold batch norms into convolutions in its passes: faster, but for rounding the same"
    ),
    "ATTACK.WARMUP_EPOCHS": Setting(
        0.0, "eps rises linearly from 0 over so many epochs, and the steps with it", least=0
    ),
    "TRAIN.METHOD": Setting(
        "pgd", "of adversarial training: what is maximised, and what is minimised", tuple(METHODS)
    ),
    "TRAIN.TRADES_BETA": Setting(0.0, "trades: weight of its divergence; 6 in the paper", least=0),
    "TRAIN.MART_LAMBDA": Setting(0.0, "mart: the same; 5 or 6 in the paper", least=0),
    "TRAIN.REPLAYS": Setting(
        0, "free: steps on each batch in a row, which divide the epochs; the paper's are 4", least=0
    ),
    "TRAIN.AWP_GAMMA": Setting(
        0.0, "perturb the weights by so much of their norm; the paper's is 0.005", least=0, below=1
    ),
    "TRAIN.CLEAN_SHARE": Setting(0.0, "part of each batch that is not attacked", least=0, below=1),
    "TRAIN.EPOCHS": Setting(90, "passes over the training images; free: times replays", least=1),
    "TRAIN.BATCH_SIZE": Setting(512, "images an optimiser step, over all processes", least=2),
    "TRAIN.ACCUMULATE": Setting(
        1, "passes an optimiser step; each takes a part of the batch", least=1
    ),
    "TRAIN.PRECISION": Setting("fp32", "autocast in bf16 or fp16", tuple(AMP_DTYPES)),
    "TRAIN.CHANNELS_LAST": Setting(False, "memory format of weights and images"),
    "TRAIN.COMPILE": Setting(False, "torch.compile of the network"),
    "TRAIN.CHECKPOINT_STEPS": Setting(
        0, "also save every N steps; 0 saves at the end of epochs only", least=0
    ),
    "OPTIM.NAME": Setting("sgd", "of the optimiser", OPTIMIZERS),
    "OPTIM.LR": Setting(0.1, "learning rate, of the whole batch", above=0),
    "OPTIM.LAYER_DECAY": Setting(
        1.0, "a stage's learning rate as a share of the next one's", above=0
    ),
    "OPTIM.MOMENTUM": Setting(0.9, "of SGD", least=0, below=1),
    "OPTIM.NESTEROV": Setting(False, "Nesterov's momentum"),
    "OPTIM.BETAS": Setting([0.9, 0.999], "adamw: decays of its two averages"),
    "OPTIM.WEIGHT_DECAY": Setting(1e-4, "of all weights", least=0),
    "OPTIM.DECAY_NORMS": Setting(True, "false: none of norms and biases, tensors of one dimension"),
    "OPTIM.SCHEDULE": Setting("step", "of the learning rate", SCHEDULES),
    "OPTIM.STEP_EPOCHS": Setting(30, "step: epochs between drops", least=1),
    "OPTIM.MILESTONES": Setting(
        [], "multistep: epochs after which a drop comes, rising", items={"type": "integer"}
    ),
    "OPTIM.GAMMA": Setting(0.1, "step, multistep: factor of a drop, at most 1", above=0),
    "OPTIM.WARMUP_EPOCHS": Setting(
        0.0, "linear warm-up; onecycle: length of the rising part", least=0
    ),
    "OPTIM.LABEL_SMOOTHING": Setting(0.0, "of the cross-entropy", least=0, below=1),
    "OPTIM.EMA_DECAY": Setting(0.0, "0 is no moving average of the weights", least=0, below=1),
    "OPTIM.CLIP_NORM": Setting(0.0, "largest gradient norm; 0 is no clipping", least=0),
    "EVAL.EPOCHS": Setting(1, "validate every N epochs, and at the end", least=1),
    "EVAL.BATCH_SIZE": Setting(256, "images a pass, in each process", least=1),
    "EVAL.NORM": Setting("", "of the threat model; the training norm if empty", known=("", *NORMS)),
    "EVAL.EPS": Setting(-1.0, "radius in [0, 1] pixel units; the training eps if negative"),
    "EVAL.STEPS": Setting(10, "of PGD", least=1),
    "EVAL.STEP_SIZE": Setting(0.0, "0 means 2.5 * eps / steps (Madry et al. 2018)", least=0),
    "EVAL.OBJECTIVE": Setting("margin", "what it maximises", tuple(OBJECTIVES)),
    "EVAL.RESTARTS": Setting(1, "random starts, of which each image counts the worst", least=1),
    "EVAL.ADVERSARIAL_IMAGES": Setting(
        0, "attack only the first N (evenly spread); 0 is all", least=0
    ),
    **LOG_SETTINGS,
}


# EVAL's attack has keys of its own, but for the norm
_OF_TRAINING_ATTACK = tuple(
    key
    for key in SETTINGS
    if key.startswith("ATTACK.") and key not in ("ATTACK.EPS", "ATTACK.NORM")
)
_OF_EVAL_ATTACK = tuple(
    key
    for key in SETTINGS
    if key.startswith("EVAL.") and key not in ("EVAL.EPS", "EVAL.EPOCHS", "EVAL.BATCH_SIZE")
)
# what validation alone has no use for
OF_TRAINING = (
    *_OF_TRAINING_ATTACK,
    *OF_METHODS,
    "MODEL.INIT",
    "MODEL.FREEZE",
    "MODEL.SEPARATE_NORMS",
    "MODEL.SYNC_NORMS",
    *(key for key in SETTINGS if key.startswith("OPTIM.")),
    "DATA.CROP_SCALE",
    "DATA.FLIP",
    "DATA.COLOR_JITTER",
    "DATA.LIGHTING",
    "DATA.RAND_AUGMENT",
    "DATA.RANDOM_ERASING",
    "DATA.MIXUP",
    "DATA.CUTMIX",
    "DATA.REPEATS",
    "DATA.EXACT_DECODE",
    "TRAIN.EPOCHS",
    "TRAIN.BATCH_SIZE",
    "TRAIN.ACCUMULATE",
    "TRAIN.COMPILE",
    "TRAIN.CHECKPOINT_STEPS",
    "EVAL.EPOCHS",
    *LOG_SETTINGS,
)


def pretrain_defaults() -> CfgNode:
    """Return the defaults: the paper's ImageNet recipe at eps 0 (Salman et al. 2020)."""
    return add_defaults(CfgNode(), SETTINGS)


def load_config(name: str, overrides: Sequence[str] = ()) -> CfgNode:
    """Read a config file and overrides, check them, and freeze the result.

    Args:
        name: path, or a bare file name below ``configs/``.
        overrides: ``KEY VALUE`` pairs.

    Raises:
        UserError: a key or a value is wrong.
    """
    cfg, _ = explain(name, overrides)
    cfg.freeze()
    return cfg


def explain(
    name: str, overrides: Sequence[str] = (), eval_only: bool = False
) -> tuple[CfgNode, dict[str, str]]:
    """Do what :func:`load_config` does, and say where each key that was set comes from.

    Args:
        name, overrides: see :func:`load_config`.
        eval_only: nothing is trained by it.

    Returns:
        The config, and by dotted key the file, or ``command line``; those that no file sets are
        left out.
    """
    cfg = pretrain_defaults()
    origins = merge_layers(cfg, [*read_layers(find_config(name)), command_line(overrides)])
    settle_method(cfg, origins)
    check_config(cfg)
    split = Switch(("DATA.VAL_SEED",), cfg.DATA.VAL_FRACTION > 0, "DATA.VAL_FRACTION above 0")
    refuse_idle([split], flatten(cfg), flatten(pretrain_defaults()), origins)
    if eval_only:
        _refuse_training(origins)
    else:
        _check_switches(cfg, origins)
    return cfg, origins


def idle_remarks(cfg: CfgNode, origins: Mapping[str, str]) -> list[str]:
    """Say which keys of the command line are of an attack that validation does not have.

    They are no mistake where one command line serves several eps, of which one is 0.
    """
    idle = [key for key in _OF_EVAL_ATTACK if origins.get(key) == COMMAND_LINE]
    if not idle or eval_attack(cfg).threat.eps > 0:
        return []
    return [f"validation has no attack (eps 0): {', '.join(idle)} without effect"]


def _refuse_training(origins: Mapping[str, str]) -> None:
    """Refuse keys of training on the command line of an evaluation."""
    idle = [key for key in OF_TRAINING if origins.get(key) == COMMAND_LINE]
    if not idle:
        return
    twins = (f"EVAL.{key.partition('.')[2]}" for key in idle)
    own = [key for key in twins if key in SETTINGS and key not in OF_TRAINING]
    meant = f", or set {', '.join(own)}" if own else ""
    raise UserError(
        f"{', '.join(idle)} would have no effect on --eval-only, which trains nothing",
        f"leave {'it' if len(idle) == 1 else 'them'} out{meant}",
    )


def _check_switches(cfg: CfgNode, origins: Mapping[str, str]) -> None:
    adversarial = (*_OF_TRAINING_ATTACK, *OF_METHODS, "MODEL.SEPARATE_NORMS")
    switches = (
        Switch(adversarial, cfg.ATTACK.EPS > 0, "ATTACK.EPS above 0"),
        # the head alone is left, and its rate is whole
        Switch(("OPTIM.LAYER_DECAY",), cfg.MODEL.FREEZE != "res5", "MODEL.FREEZE below res5"),
        *optimizer_switches(cfg, cfg.OPTIM.WEIGHT_DECAY > 0),
        *method_switches(cfg),
        *attack_switches(cfg),
    )
    refuse_idle(switches, flatten(cfg), flatten(pretrain_defaults()), origins)


def memory_layout(cfg: CfgNode) -> torch.memory_format:
    """Return the memory format of weights and images."""
    return torch.channels_last if cfg.TRAIN.CHANNELS_LAST else torch.contiguous_format


def check_config(cfg: CfgNode) -> None:
    """Refuse a config with a value that cannot be, or with values that contradict each other.

    Raises:
        UserError: says which key.
    """
    check_image_size(cfg.MODEL.ARCH, cfg.DATA.IMAGE_SIZE)
    check_seed(cfg.SEED)
    check_settings(cfg, SETTINGS)
    check_together(cfg)
    _check_validation(cfg)
    check_size(cfg)
    check_attacks(cfg)
    check_layer_decay("OPTIM.LAYER_DECAY", cfg.OPTIM.LAYER_DECAY)
    stagewise = cfg.MODEL.FREEZE != "none" or cfg.OPTIM.LAYER_DECAY != 1
    if stagewise and cfg.MODEL.SEPARATE_NORMS and cfg.ATTACK.EPS > 0:
        raise UserError(
            "MODEL.SEPARATE_NORMS adds norms that are of no stage, which MODEL.FREEZE and"
            " OPTIM.LAYER_DECAY go by; give the one or the others"
        )
    if (len(cfg.MODEL.MEAN), len(cfg.MODEL.STD)) != (3, 3) or not all(
        0 <= mean <= 1 and 0 < std <= 1
        for mean, std in zip(cfg.MODEL.MEAN, cfg.MODEL.STD, strict=True)
    ):
        raise UserError(
            "MODEL.MEAN and MODEL.STD need three numbers each, RGB in [0, 1], and STD above 0;"
            " divide those of images in [0, 255] by 255"
        )


def _check_validation(cfg: CfgNode) -> None:
    """Refuse two sets of validation images, or none."""
    folder, fraction = cfg.DATA.VAL, cfg.DATA.VAL_FRACTION
    if not folder:
        raise UserError(
            "DATA.VAL is empty; give the folder of the validation images, or leave it out and set"
            " DATA.VAL_FRACTION, such as 0.1"
        )
    if fraction > 0 and folder != SETTINGS["DATA.VAL"].default:
        raise UserError(
            f"DATA.VAL {folder} and DATA.VAL_FRACTION {fraction:g} are two sets of validation"
            f" images; leave one out, or set it back to {SETTINGS['DATA.VAL'].default} or 0"
        )


def check_size(cfg: CfgNode) -> None:
    """Refuse a crop of validation that is larger than the image.

    Raises:
        UserError: see there.
    """
    if cfg.DATA.RESIZE < cfg.DATA.IMAGE_SIZE:
        raise UserError(
            f"DATA.RESIZE {cfg.DATA.RESIZE} must not be below DATA.IMAGE_SIZE"
            f" {cfg.DATA.IMAGE_SIZE}; the usual one is {usual_resize(cfg.DATA.IMAGE_SIZE)}"
        )


def check_together(cfg: CfgNode) -> None:
    """Refuse values of training that contradict each other.

    Raises:
        UserError: says which keys.
    """
    if not cfg.OUTPUT_DIR:
        raise UserError("OUTPUT_DIR is empty; give a folder")
    if Path(cfg.OUTPUT_DIR).is_file():
        raise UserError(f"OUTPUT_DIR {cfg.OUTPUT_DIR} is a file; give a folder")
    check_augmentation(cfg)
    if cfg.ATTACK.EPS > 0 and cfg.ATTACK.STEPS < 1:
        raise UserError(f"ATTACK.STEPS must be at least 1, not {cfg.ATTACK.STEPS}")
    check_method(cfg)
    check_optimizer(cfg)
