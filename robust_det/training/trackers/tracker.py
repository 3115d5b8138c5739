"""What a tracker of runs is given."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

__all__ = ["Session", "Tracker"]


@dataclass(frozen=True)
class Session:
    """A session of a run, of which there are several where it was resumed.

    Attributes:
        folder: of the run.
        name: of the run.
        config: by dotted key.
        kept: what the tracker kept of the run in an earlier session; empty in the first.
    """

    folder: Path
    name: str
    config: Mapping[str, Any]
    kept: Mapping[str, str]


class Tracker(Protocol):
    """A run on a server or in files of another library. Any member may raise any exception.

    Attributes:
        kept: by which the run is found again in a later session.
    """

    kept: Mapping[str, str]

    def scalars(self, step: int, values: Mapping[str, float]) -> None:
        """Add scalars of a step; several may be of one step."""
        ...

    def flush(self) -> None:
        """Hand on what was held back, if anything was."""
        ...

    def file(self, path: Path) -> None:
        """Add a file of the run's folder, or replace it."""
        ...

    def close(self, finished: bool) -> None:
        """End the session; the run may go on in a later one unless it is finished."""
        ...
