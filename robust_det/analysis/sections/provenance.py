"""Where the figures of a record come from, for the page."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from robust_det.core.errors import counted
from robust_det.records import Environment

__all__ = ["provenance_entry"]


def provenance_entry(
    env: Environment,
    path: Path,
    seconds: float,
    facts: Sequence[tuple[str, object]],
    **more: object,
) -> dict[str, Any]:
    """Return what the page says of a record.

    Args:
        env: on what, with what and when it was made.
        path: where it is.
        seconds: its wall time.
        facts: that come before those of every record.
        more: name, letter, label and seed of the run.
    """
    return {
        **more,
        "path": path,
        "created": env.created,
        "wall_time": _duration(seconds),
        "command": shlex.join(["python", *env.command]),
        "facts": [*facts, *_facts(env, path)],
    }


def _facts(env: Environment, path: Path) -> list[tuple[str, object]]:
    changed = " + uncommitted changes" if env.modified else ""
    return [
        ("commit", f"{env.commit or 'unknown'}{changed}"),
        ("device", f"{env.device}, {counted(env.threads, 'thread')}"),
        ("Python", env.python),
        ("libraries", ", ".join(f"{k} {v}" for k, v in env.versions.items())),
        ("finished", env.created),
        ("record", path),
    ]


def _duration(seconds: float) -> str:
    """``2 h 05 min``, ``3 min 20 s`` or ``9 s``."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours} h {minutes:02d} min"
    return f"{minutes} min {rest:02d} s" if minutes else f"{rest} s"
