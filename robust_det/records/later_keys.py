"""What a run did before there was a key for it: records and checkpoints are read for ever."""

from __future__ import annotations

from collections.abc import Container, Mapping
from typing import Any

from robust_det.core.config.reading import flatten

__all__ = ["LATER_KEYS", "completed"]

# of classifiers and their transfer; a key that is added to their settings stands here as well
LATER_KEYS: Mapping[str, Any] = {
    "ATTACK.FOLD_NORMS": False,
    "ATTACK.NAME": "pgd",
    "ATTACK.OBJECTIVE": "cross_entropy",
    "ATTACK.WARMUP_EPOCHS": 0.0,
    "DATA.CUTMIX": 0.0,
    "DATA.EXACT_DECODE": True,
    "DATA.LIGHTING": 0.0,
    "DATA.MIXUP": 0.0,
    "DATA.RANDOM_ERASING": 0.0,
    "DATA.RAND_AUGMENT": [0, 0],
    "DATA.REPEATS": 1,
    "DATA.VAL": "val",
    "DATA.VAL_FRACTION": 0.0,
    "DATA.VAL_SEED": 0,
    "EVAL.OBJECTIVE": "cross_entropy",
    "EVAL.RESTARTS": 1,
    "LOG.MLFLOW": False,
    "LOG.WANDB": False,
    "MODEL.FREEZE": "none",
    "MODEL.INIT": "",
    "MODEL.SEPARATE_NORMS": False,
    "MODEL.SYNC_NORMS": False,
    "OPTIM.BETAS": [0.9, 0.999],
    "OPTIM.DECAY_NORMS": True,
    "OPTIM.LAYER_DECAY": 1.0,
    "OPTIM.MILESTONES": [],
    "OPTIM.NAME": "sgd",
    "TRAIN.AWP_GAMMA": 0.0,
    "TRAIN.CLEAN_SHARE": 0.0,
    "TRAIN.MART_LAMBDA": 0.0,
    "TRAIN.METHOD": "pgd",
    "TRAIN.REPLAYS": 0,
    "TRAIN.TRADES_BETA": 0.0,
}


def completed(config: Mapping[str, Any], keys: Container[str] = LATER_KEYS) -> dict[str, Any]:
    """Return the config of an earlier run, flat, with what it did before there were keys for it.

    Args:
        config: of the run, nested.
        keys: those that configs like it have now.
    """
    later = {key: value for key, value in LATER_KEYS.items() if key in keys}
    return {**later, **flatten(config)}
