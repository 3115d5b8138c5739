"""Where the figures of a record come from, for the page."""

from __future__ import annotations

from pathlib import Path

from robust_det.core.errors import counted
from robust_det.records import Environment

__all__ = ["duration", "run_facts"]


def run_facts(env: Environment, path: Path) -> list[tuple[str, object]]:
    """Return on what, with what and when a record was made, and where it is."""
    changed = " + uncommitted changes" if env.modified else ""
    return [
        ("commit", f"{env.commit or 'unknown'}{changed}"),
        ("device", f"{env.device}, {counted(env.threads, 'thread')}"),
        ("Python", env.python),
        ("libraries", ", ".join(f"{k} {v}" for k, v in env.versions.items())),
        ("finished", env.created),
        ("record", path),
    ]


def duration(seconds: float) -> str:
    """``2 h 05 min``, ``3 min 20 s`` or ``9 s``."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours} h {minutes:02d} min"
    return f"{minutes} min {rest:02d} s" if minutes else f"{rest} s"
