"""Progress bars, on a terminal and in a log file."""

from __future__ import annotations

import sys
from typing import Any

from tqdm import tqdm

__all__ = ["duration", "progress_bar"]


class _Bar(tqdm):
    """A bar that stays away until its delay has passed, also where a line is written beside it.

    tqdm shows it again after the line, and does not clear what it has not shown by itself.
    """

    def refresh(self, *args: Any, **options: Any) -> None:
        bar: Any = self
        if bar.delay > 0:
            now = bar._time()
            if now < bar.start_t + bar.delay:
                return
            bar.last_print_t = now
        super().refresh(*args, **options)


def progress_bar(
    total: int | None,
    label: str,
    unit: str,
    enabled: bool = True,
    initial: int = 0,
    smoothing: float = 0.3,
) -> tqdm:
    """Return a bar with rate and time left; in a log file it prints every ten seconds at most.

    Args:
        total, initial: units of the whole work, None if nobody knows, and those done already.
        label, unit: what is shown; bytes, ``B``, as k, M or G.
        enabled: False for a process that must not print.
        smoothing: weight of the newest rate, from which the time left follows; 0 is the mean rate
            since the start, for units that come in leaps.
    """
    terminal = sys.stderr.isatty()
    return _Bar(
        total=total,
        initial=initial,
        smoothing=smoothing,
        desc=label,
        unit=unit,
        unit_scale=unit == "B",
        disable=not enabled,
        mininterval=0.2 if terminal else 10,
        maxinterval=1 if terminal else 30,
        delay=0 if terminal else 10,
        # a log file has no cursor to move for a bar below another
        position=None if terminal else 0,
        dynamic_ncols=terminal,
        leave=False,
    )


def duration(seconds: float) -> str:
    """Return a time as people say it: ``40 seconds``, ``12 minutes``, ``3.5 hours``."""
    for unit, length in (("days", 86400), ("hours", 3600), ("minutes", 60)):
        if seconds >= 1.95 * length:
            value = seconds / length
            return f"{value:.{1 if value < 10 and unit != 'minutes' else 0}f} {unit}"
    return f"{seconds:.0f} seconds"
