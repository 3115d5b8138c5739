"""What of timm's layers whoever looks into a network has to know; timm is not imported for it."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

from torch import nn

__all__ = ["STOCHASTIC", "has_activation", "traced_as_wholes"]

# what does something in training alone, and the attribute that says how often
STOCHASTIC = {
    "DropPath": "drop_prob",
    "DropBlock2d": "drop_prob",
    "PatchDropout": "prob",
}


def traced_as_wholes() -> tuple[tuple[type[nn.Module], ...], tuple[Callable[..., Any], ...]]:
    """Return the modules and functions of timm that symbolic tracing must not look into.

    timm lists those that branch by what they are given, such as padding to the same size. What is
    only random in training is among them here, so that it can be switched off after tracing.
    """
    timm = sys.modules.get("timm.layers")
    if timm is None:  # there is no network of it
        return (), ()
    modules = [*timm.get_notrace_modules(), *(getattr(timm, name) for name in STOCHASTIC)]
    return tuple(dict.fromkeys(modules)), tuple(timm.get_notrace_functions())


def has_activation(norm: nn.Module) -> bool:
    """Whether a module is timm's batch norm with dropout and activation behind it, in one."""
    timm = sys.modules.get("timm.layers")
    return timm is not None and type(norm) is timm.BatchNormAct2d
