"""The keys of a transfer config, with their defaults and their checks.

Those of data, training, optimiser, attack and validation mean what they mean in pretraining.
"""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Sequence
from typing import Any

from robust_det.classification import settings as pretraining
from robust_det.classification.attack_settings import attack_switches
from robust_det.classification.methods.keys import OF_METHODS, method_switches, settle_method
from robust_det.classification.optimizer_keys import check_layer_decay, optimizer_switches
from robust_det.classification.stagewise import FREEZABLE
from robust_det.core.config.idle import Switch, refuse_idle
from robust_det.core.config.reading import (
    CfgNode,
    command_line,
    find_config,
    flatten,
    merge_layers,
    read_layers,
)
from robust_det.core.config.setting import Setting, add_defaults, check_settings
from robust_det.core.errors import UserError
from robust_det.core.seeding import check_seed
from robust_det.data.transfer.catalogue import SETS, facts_of

__all__ = [
    "FIXED_FEATURE",
    "FULL_NETWORK",
    "HEADS",
    "HEAD_THEN_ALL",
    "KNN",
    "LOGREG",
    "MODES",
    "PAPER",
    "RIDGE",
    "SETTINGS",
    "SGD",
    "Choice",
    "choices_of",
    "explain",
    "given_backbone",
    "paper_protocol",
    "quirks_of",
    "trains_by_sgd",
    "transfer_defaults",
    "with_choice",
]

FIXED_FEATURE, FULL_NETWORK, HEAD_THEN_ALL = "fixed-feature", "full-network", "head-then-all"
MODES = (FIXED_FEATURE, FULL_NETWORK, HEAD_THEN_ALL)
LOGREG, RIDGE, KNN, SGD = "logreg", "ridge", "knn", "sgd"
HEADS = (LOGREG, RIDGE, KNN, SGD)

_OWN = {
    "OUTPUT_DIR": Setting("output/transfer", "folder of the run"),
    "TRANSFER.BACKBONE": Setting("", "file or name of what is transferred; --backbone"),
    "TRANSFER.MODE": Setting(
        FIXED_FEATURE,
        "train a head on frozen features, the whole network, or the one and then the other",
        MODES,
    ),
    "TRANSFER.HEAD": Setting(
        LOGREG, "fixed-feature: how the head is found; sgd is the paper's", HEADS
    ),
    "TRANSFER.SUBSET": Setting(
        0.0, "train on so many images a class, or below 1 on this part; 0 is all", least=0
    ),
    "TRANSFER.DOWNSCALE": Setting(
        0,
        "first shrink the short side to so many pixels, as the paper's granularity; 0 does not",
        least=0,
    ),
    "TRANSFER.VALIDATION": Setting(
        0.2,
        "part of the training images to choose by, where no list holds some out",
        above=0,
        below=1,
    ),
    "TRANSFER.STRENGTHS": Setting(
        45, "logreg, ridge: how many strengths are tried, from 1e-6 to 1e5", least=2
    ),
    "TRANSFER.NEIGHBOURS": Setting(
        [1, 5, 10, 20, 50, 100], "knn: numbers of neighbours that are tried"
    ),
    "TRANSFER.FREEZE": Setting(
        "none", "full-network: the last stage that stays as it is, with all below it", FREEZABLE
    ),
    "TRANSFER.LAYER_DECAY": Setting(
        1.0, "full-network: a stage's learning rate as a share of the next one's", above=0
    ),
    "TRANSFER.PATIENCE": Setting(
        0,
        "stop a run of the choice after so many validations without a better one; 0 does not",
        least=0,
    ),
    "TRANSFER.CORRUPTIONS": Setting(
        False, "measure the 15 common corruptions of Hendrycks & Dietterich 2019 as well"
    ),
    "DATA.SET": Setting(
        "folder", "name of the set, see robust-det transfer-data list", known=tuple(SETS)
    ),
    "DATA.ROOT": Setting("", "folder that holds the set; of csv, the file"),
    "DATA.MANIFEST": Setting("", "its splits, as transfer-data check --manifest writes them"),
    "DATA.IMAGE_SIZE": Setting(
        0, "side of what the network sees, in pixels; 0 is the backbone's", least=0
    ),
    "DATA.WORKERS": Setting(
        -1,
        "processes that decode images; -1 is one a core, 8 at most; 0 is the run's own",
        least=-1,
    ),
    "DATA.RESIZE": Setting(
        0, "short side before the central crop, in pixels; 0 is 256/224 of the side", least=0
    ),
}

# each quirk of the paper's code, by its key, and what it does
PAPER = {
    "PAPER.NORMALISATION": "mean 0 and std 1 whatever the backbone was trained with (CIFAR's own"
    " for CIFAR)",
    "PAPER.DRIFTING_NORMS": "fixed-feature: batch norms of the frozen network go on in training",
    "PAPER.SELECT_ON_TEST": "learning rate and weight decay are chosen on the test images",
    "PAPER.BEST_EPOCH": "the accuracy is that of the best epoch on the test images",
    "PAPER.DTD_OUTPUTS": "DTD's head has 57 outputs for 47 classes",
    "PAPER.FIRST_FILES": "Caltech's training images are the first of each class by name",
}

# the paper's transfer recipe (Salman et al. 2020, appendix)
_RECIPE: dict[str, Any] = {
    "TRAIN.EPOCHS": 150,
    "TRAIN.BATCH_SIZE": 64,
    "OPTIM.LR": [0.01, 0.001],
    "OPTIM.WEIGHT_DECAY": [5e-4],
    "OPTIM.STEP_EPOCHS": 50,
    "ATTACK.EPS": 0.0,
    "EVAL.EPOCHS": 1,
}
_WORDS = {
    "OPTIM.LR": "learning rate of the whole batch; of several, validation chooses",
    "OPTIM.WEIGHT_DECAY": "of all weights; of several, validation chooses",
    "ATTACK.EPS": "above 0 trains adversarially; radius in [0, 1] pixel units, such as 4/255",
    "EVAL.NORM": "of the threat model that accuracy is measured under; the backbone's if empty",
    "EVAL.EPS": "its radius in [0, 1] pixel units; the backbone's if negative, 0 is no attack",
    "EVAL.EPOCHS": "sgd: look at validation images every N epochs",
}


_LISTS = ("OPTIM.LR", "OPTIM.WEIGHT_DECAY")


def _settings() -> dict[str, Setting]:
    found = {
        key: setting
        for key, setting in pretraining.SETTINGS.items()
        if not key.startswith(("MODEL.", "DATA.VAL"))
        and key not in (*_OWN, "TRAIN.REPLAYS", "OPTIM.LAYER_DECAY")
    }
    method = found["TRAIN.METHOD"]
    known = tuple(name for name in method.choices if name != "free")
    found["TRAIN.METHOD"] = dataclasses.replace(method, choices=known)
    for key, value in _RECIPE.items():
        found[key] = dataclasses.replace(found[key], default=value)
    for key in _LISTS:  # whose limits are those of each number
        found[key] = dataclasses.replace(found[key], least=None, above=None)
    for key, words in _WORDS.items():
        found[key] = dataclasses.replace(found[key], words=words)
    switches = {key: Setting(False, words) for key, words in PAPER.items()}
    return {**_OWN, **found, **switches}


SETTINGS = _settings()

_OF_SGD = (
    *(key for key in pretraining.OF_TRAINING if key in SETTINGS),
    "ATTACK.NORM",
    "ATTACK.EPS",
    "TRANSFER.PATIENCE",
)
_OF_TRAINING_ATTACK = tuple(
    key
    for key in SETTINGS
    if (key.startswith("ATTACK.") and key != "ATTACK.EPS") or key in OF_METHODS
)
_OF_EVAL_ATTACK = tuple(
    key
    for key in SETTINGS
    if key.startswith("EVAL.") and key not in ("EVAL.EPOCHS", "EVAL.BATCH_SIZE")
)


@dataclasses.dataclass(frozen=True)
class Choice:
    """A learning rate and a weight decay that are tried."""

    lr: float
    weight_decay: float


def transfer_defaults() -> CfgNode:
    """Return the defaults: a logistic regression on features; of SGD the paper's schedule."""
    return add_defaults(CfgNode(), SETTINGS)


def explain(
    name: str | None, overrides: Sequence[str] = (), set_by_options: Sequence[str] = ()
) -> tuple[CfgNode, dict[str, str]]:
    """Read a config file and overrides, and check them.

    Args:
        name: path, or a bare file name below ``configs/``; None for the defaults.
        overrides: ``KEY VALUE`` pairs.
        set_by_options: such pairs that come from the command's own options.

    Returns:
        The config, and by dotted key the file, or ``command line``; those that no file sets are
        left out.

    Raises:
        UserError: a key or a value is wrong, or has no effect.
    """
    cfg = transfer_defaults()
    files = read_layers(find_config(name)) if name else []
    layers = [*files, command_line([*overrides, *set_by_options])]
    for layer in layers:
        _listed(layer.keys)
    origins = merge_layers(cfg, layers)
    settle_method(cfg, origins)
    _check(cfg)
    refuse_idle(_switches(cfg), flatten(cfg), flatten(transfer_defaults()), origins)
    return cfg, origins


def _listed(keys: dict[str, Any]) -> None:
    """Let a number stand for a list of one."""
    optim = keys.get("OPTIM")
    for key in _LISTS:
        leaf = key.partition(".")[2]
        if isinstance(optim, dict) and isinstance(optim.get(leaf), int | float | str):
            optim[leaf] = [optim[leaf]]


def given_backbone(cfg: CfgNode) -> str:
    """Return what is transferred, a file or a name.

    Raises:
        UserError: nothing says it.
    """
    if not cfg.TRANSFER.BACKBONE:
        raise UserError("nothing says what is transferred: give --backbone FILE_OR_NAME")
    return str(cfg.TRANSFER.BACKBONE)


def trains_by_sgd(cfg: CfgNode) -> bool:
    """Return whether images are trained on, not features."""
    return cfg.TRANSFER.MODE != FIXED_FEATURE or cfg.TRANSFER.HEAD == SGD


def quirks_of(cfg: CfgNode) -> tuple[str, ...]:
    """Return the keys of the paper's quirks that are on."""
    flat = flatten(cfg)
    return tuple(key for key in PAPER if flat[key])


def choices_of(cfg: CfgNode) -> list[Choice]:
    """Return what is tried of learning rates and weight decays; one is no choice."""
    return [Choice(*pair) for pair in itertools.product(cfg.OPTIM.LR, cfg.OPTIM.WEIGHT_DECAY)]


def with_choice(cfg: CfgNode, choice: Choice) -> CfgNode:
    """Return the config of one run of training."""
    own = cfg.clone()
    own.defrost()
    own.OPTIM.LR, own.OPTIM.WEIGHT_DECAY = choice.lr, choice.weight_decay
    return own


def paper_protocol(cfg: CfgNode) -> list[str]:
    """Return as ``KEY VALUE`` pairs the quirks that change something for a mode and a set."""
    return [word for key in PAPER if not _idle_quirk(cfg, key) for word in (key, "True")]


def _idle_quirk(cfg: CfgNode, key: str) -> str:
    """Return what a quirk would need to have an effect; empty if it has one."""
    sgd = trains_by_sgd(cfg)
    needs = {
        "PAPER.DRIFTING_NORMS": (
            cfg.TRANSFER.MODE == FIXED_FEATURE and sgd,
            "TRANSFER.MODE fixed-feature and TRANSFER.HEAD sgd",
        ),
        "PAPER.SELECT_ON_TEST": (
            not sgd or len(choices_of(cfg)) > 1,
            "several learning rates or weight decays",
        ),
        "PAPER.BEST_EPOCH": (sgd, "training by SGD"),
        "PAPER.DTD_OUTPUTS": (cfg.DATA.SET == "dtd" and sgd, "DATA.SET dtd and training by SGD"),
        "PAPER.FIRST_FILES": (
            facts_of(cfg.DATA.SET).per_class > 0 and not cfg.DATA.MANIFEST,
            "DATA.SET caltech101 or caltech256 and no DATA.MANIFEST",
        ),
    }
    has_effect, words = needs.get(key, (True, ""))
    return "" if has_effect else words


def _validates(cfg: CfgNode) -> bool:
    """Return whether something is chosen by validation images."""
    if cfg.PAPER.SELECT_ON_TEST:
        return False
    if trains_by_sgd(cfg):
        return len(choices_of(cfg)) > 1 or bool(cfg.TRANSFER.PATIENCE)
    return bool(cfg.TRANSFER.HEAD in (LOGREG, KNN))


def _switches(cfg: CfgNode) -> list[Switch]:
    """Return which keys count under which condition alone."""
    sgd, transfer = trains_by_sgd(cfg), cfg.TRANSFER
    head = transfer.HEAD if transfer.MODE == FIXED_FEATURE else ""
    whole = transfer.MODE != FIXED_FEATURE
    return [
        Switch(("TRANSFER.HEAD",), not whole, "TRANSFER.MODE fixed-feature"),
        Switch(_OF_SGD, sgd, "training by SGD (TRANSFER.MODE full-network, or TRANSFER.HEAD sgd)"),
        Switch(("TRANSFER.FREEZE", "TRANSFER.LAYER_DECAY"), whole, "TRANSFER.MODE full-network"),
        # the head alone is left, and its rate is whole
        Switch(("TRANSFER.LAYER_DECAY",), transfer.FREEZE != "res5", "TRANSFER.FREEZE below res5"),
        Switch(("TRANSFER.STRENGTHS",), head in (LOGREG, RIDGE), "TRANSFER.HEAD logreg or ridge"),
        Switch(("TRANSFER.NEIGHBOURS",), head == KNN, "TRANSFER.HEAD knn"),
        Switch(
            ("TRANSFER.VALIDATION",),
            _validates(cfg),
            "validation images to choose by (several OPTIM.LR or OPTIM.WEIGHT_DECAY, or"
            " TRANSFER.PATIENCE; TRANSFER.HEAD logreg or knn)",
        ),
        Switch(
            (*_OF_EVAL_ATTACK, "TRANSFER.CORRUPTIONS"),
            head != KNN,
            "a classifier, which nearest neighbours are not",
        ),
        Switch(_OF_TRAINING_ATTACK, cfg.ATTACK.EPS > 0, "ATTACK.EPS above 0"),
        *(switch for switch in method_switches(cfg) if "TRAIN.REPLAYS" not in switch.keys),
        *attack_switches(cfg),
        *optimizer_switches(cfg, max(cfg.OPTIM.WEIGHT_DECAY) > 0),
        *(Switch((key,), not (need := _idle_quirk(cfg, key)), need) for key in PAPER),
    ]


def _check(cfg: CfgNode) -> None:
    facts_of(cfg.DATA.SET)
    check_seed(cfg.SEED)
    check_settings(cfg, SETTINGS)
    if not cfg.DATA.ROOT:
        raise UserError("DATA.ROOT is empty; give the folder that holds the set, or --data DIR")
    numbers = cfg.TRANSFER.NEIGHBOURS
    if not numbers or not all(type(each) is int and each > 0 for each in numbers):
        raise UserError(f"TRANSFER.NEIGHBOURS needs whole numbers from 1, not {numbers or 'none'}")
    if len(set(numbers)) != len(numbers):
        raise UserError(f"TRANSFER.NEIGHBOURS {numbers} has a number twice; give each once")
    subset = cfg.TRANSFER.SUBSET
    if subset > 1 and subset != int(subset):
        raise UserError(
            f"TRANSFER.SUBSET is so many images a class, or a part below 1, not {subset:g}"
        )
    for key, values in zip(_LISTS, (cfg.OPTIM.LR, cfg.OPTIM.WEIGHT_DECAY), strict=True):
        if not values or min(values) < 0 or (key == "OPTIM.LR" and min(values) == 0):
            raise UserError(f"{key} needs positive numbers, not {values or 'none'}")
        if len(set(values)) != len(values):
            raise UserError(f"{key} {values} has a number twice; give each once")
    for choice in choices_of(cfg):
        pretraining.check_together(with_choice(cfg, choice))
    check_layer_decay("TRANSFER.LAYER_DECAY", cfg.TRANSFER.LAYER_DECAY)
