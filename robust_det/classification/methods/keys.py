"""The keys of the methods: what they need, exclude and fix."""

from __future__ import annotations

from robust_det.classification.methods.registry import METHODS
from robust_det.core.config.idle import Switch
from robust_det.core.config.reading import COMMAND_LINE, CfgNode, flatten
from robust_det.core.errors import UserError

__all__ = ["OF_METHODS", "check_method", "method_switches", "settle_method"]

_METHOD = "TRAIN.METHOD"
# what has no effect on standard training
OF_METHODS = (
    _METHOD,
    *(kind.key for kind in METHODS.values() if kind.key),
    "TRAIN.AWP_GAMMA",
    "TRAIN.CLEAN_SHARE",
)


def settle_method(cfg: CfgNode, origins: dict[str, str]) -> None:
    """Set the keys that a method has one value for, over those of files below it.

    Args:
        cfg, origins: a config, and where each key that was set comes from; are changed.

    Raises:
        UserError: whoever sets the method sets such a key otherwise, or the command line does.
    """
    name = cfg.TRAIN.METHOD
    kind = METHODS.get(name)  # an unknown one is refused where all settings are
    for key, value in kind.fixed.items() if kind else ():
        given, who = flatten(cfg)[key], origins.get(key)
        if given != value and who and who in (COMMAND_LINE, origins.get(_METHOD)):
            raise UserError(
                f"{_METHOD} {name} has {key} {value}, not {given}; leave {key} out, or take"
                f" {_METHOD} pgd"
            )
        section, _, leaf = key.partition(".")
        cfg[section][leaf], origins[key] = value, f"{_METHOD} {name}"


def check_method(cfg: CfgNode) -> None:
    """Refuse a method without what it needs, or with values that it cannot have.

    Raises:
        UserError: says which key.
    """
    name, train = cfg.TRAIN.METHOD, cfg.TRAIN
    kind, keys = METHODS[name], flatten(cfg)
    if kind.key and not keys[kind.key]:
        raise UserError(f"{_METHOD} {name} needs {kind.key}: {kind.usual}")
    for key, value in kind.fixed.items():
        if keys[key] != value:
            raise UserError(f"{_METHOD} {name} has {key} {value}, not {keys[key]}; set that")
    if name == "free" and train.EPOCHS % train.REPLAYS:
        raise UserError(*_near(train.EPOCHS, train.REPLAYS))
    warm = cfg.ATTACK.WARMUP_EPOCHS
    if warm >= train.EPOCHS:
        raise UserError(
            f"ATTACK.WARMUP_EPOCHS {warm:g} must be below TRAIN.EPOCHS {train.EPOCHS}: eps would"
            " never be ATTACK.EPS"
        )
    if name == "free" and cfg.ATTACK.EPS > 0 and train.AWP_GAMMA > 0:
        raise UserError(
            f"TRAIN.AWP_GAMMA {train.AWP_GAMMA:g} needs a backward pass of its own, which {_METHOD}"
            " free does without; set it to 0, or take another method"
        )
    if keys.get("MODEL.SEPARATE_NORMS") and cfg.ATTACK.EPS > 0 and not _has_clean_images(cfg):
        raise UserError(
            f"MODEL.SEPARATE_NORMS separates clean images, of which {_METHOD} {name} has none; set"
            " TRAIN.CLEAN_SHARE above 0"
        )


def method_switches(cfg: CfgNode) -> list[Switch]:
    """Return which keys count with which methods alone."""
    name = cfg.TRAIN.METHOD
    found = [
        Switch((kind.key,), name == other, f"{_METHOD} {other}")
        for other, kind in METHODS.items()
        if kind.key
    ]
    idle = METHODS[name].idle
    return [*found, Switch(idle, not idle, f"another {_METHOD} than {name}")]


def _has_clean_images(cfg: CfgNode) -> bool:
    return cfg.TRAIN.METHOD in ("trades", "mart") or cfg.TRAIN.CLEAN_SHARE > 0


def _near(epochs: int, replays: int) -> tuple[str, str]:
    """Return what is wrong with a number of replays, and the nearest numbers that are not."""
    low = epochs - epochs % replays
    schedules = [str(value) for value in (low, low + replays) if value > 0]
    divisors = [m for m in range(1, epochs + 1) if epochs % m == 0]
    below = max(m for m in divisors if m < replays)
    above = [min(m for m in divisors if m > replays)] if replays < epochs else []
    times = " or ".join(str(m) for m in (below, *above))
    return (
        f"TRAIN.EPOCHS {epochs} is not divisible by TRAIN.REPLAYS {replays}: each batch comes"
        f" {replays} times, in {epochs}/{replays} passes over the images",
        f"give TRAIN.EPOCHS {' or '.join(schedules)}, or TRAIN.REPLAYS {times}",
    )
