"""One setting of a config: its default, what it means and what it may be, in one place.

Defaults, checks and the JSON Schema that editors read all follow from a table of these.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

from fvcore.common.config import CfgNode

from robust_det.core.errors import UserError, did_you_mean

__all__ = ["Setting", "add_defaults", "check_settings"]

Config = TypeVar("Config", bound=CfgNode)


@dataclass(frozen=True)
class Setting:
    """A key of a config.

    Attributes:
        default: what it is unless a config says otherwise; tells the type as well.
        words: what it means, in a line.
        choices: all that it may be, if these are few.
        known: the same where somebody else checks it, such as a registry.
        also: regular expression of what it may be beside those.
        least: the lowest number it may be.
        above: a number that it must be above.
        below: a number that it must be below.
        items: JSON Schema of the items of a list, where the default tells nothing about them.
    """

    default: Any
    words: str
    choices: tuple[str, ...] = ()
    known: tuple[str, ...] = ()
    also: str = ""
    least: float | None = None
    above: float | None = None
    below: float | None = None
    items: Mapping[str, Any] | None = None

    def check(self, key: str, value: Any) -> None:
        """Raise :class:`UserError` for a value that this setting may not have."""
        if self.choices and value not in self.choices:
            listed, hint = ", ".join(self.choices), did_you_mean(value, self.choices)
            raise UserError(f"{key} is one of {listed}, not '{value}'{hint}")
        if self.least is not None and not value >= self.least:
            raise UserError(f"{key} must be at least {self.least}, not {value}")
        if self.above is not None and not value > self.above:
            raise UserError(f"{key} must be above {self.above}, not {value}")
        if self.below is not None and not value < self.below:
            raise UserError(f"{key} must be below {_shown(self.below)}, not {value}")


def add_defaults(cfg: Config, settings: Mapping[str, Setting]) -> Config:
    """Give ``cfg`` every setting, with its default; return it.

    Args:
        cfg: may have keys of its own; those that are settings as well get the new default.
        settings: by dotted key.
    """
    for key, setting in settings.items():
        *parents, leaf = key.split(".")
        node = cfg
        for part in parents:
            node = node.setdefault(part, type(cfg)())
        default = setting.default
        node[leaf] = list(default) if isinstance(default, list) else default
    return cfg


def check_settings(cfg: CfgNode, settings: Mapping[str, Setting]) -> None:
    """Check each setting of a config by itself.

    Raises:
        UserError: with the first key that is out of range.
    """
    for key, setting in settings.items():
        node: Any = cfg
        for part in key.split("."):
            node = node[part]
        setting.check(key, node)


def _shown(limit: float) -> str:
    bits = int(limit).bit_length() - 1
    return f"2**{bits}" if bits >= 16 and limit == 2**bits else str(limit)
