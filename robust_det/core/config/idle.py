"""Keys of the command line that would have no effect."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from robust_det.core.config.reading import COMMAND_LINE
from robust_det.core.errors import UserError

__all__ = ["Switch", "refuse_idle"]


@dataclass(frozen=True)
class Switch:
    """Keys that count under a condition alone.

    Attributes:
        keys: dotted.
        on: whether it holds.
        words: the condition.
    """

    keys: Sequence[str]
    on: bool
    words: str


def refuse_idle(
    switches: Iterable[Switch],
    now: Mapping[str, Any],
    usual: Mapping[str, Any],
    origins: Mapping[str, str],
) -> None:
    """Refuse a key on the command line of something that is switched off; a file may keep values.

    Args:
        switches: what may be off.
        now, usual: values by dotted key, as they are and by default.
        origins: where each key that was set comes from.

    Raises:
        UserError: names the first such key.
    """
    for switch in switches:
        for key in switch.keys:
            given = origins.get(key) == COMMAND_LINE and now[key] != usual[key]
            if given and not switch.on:
                raise UserError(
                    f"{key} has no effect without {switch.words}; set that, or leave it out"
                )
