"""Why a record, or a figure of it, does not enter a mean."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

from robust_det.core.errors import UserError
from robust_det.records.base import Record

__all__ = ["BY_SETTING", "Admission", "Cause", "LeftOut"]

# interrupted: no record, though the folder is a run's, or a detector before its training's end
# unreadable: no record of this version
# lacking: without what has to be in it
# undefined: a figure that is NaN or infinite, which records hold as null
# copy: all that another record says
# one hash: the weights of another pretraining run
# contradiction: its weights are said to be of two threat models or architectures
# modified: of code with uncommitted changes, beside runs of committed code
# repeat: the run or detector of another record
# evaluation: evaluated otherwise than others of its training
Cause = Literal[
    "interrupted",
    "unreadable",
    "lacking",
    "undefined",
    "copy",
    "one hash",
    "contradiction",
    "modified",
    "repeat",
    "evaluation",
]

# what comparison tells apart and says itself, beside each of its tables
BY_SETTING: Final[frozenset[Cause]] = frozenset(
    ("interrupted", "lacking", "undefined", "repeat", "evaluation")
)


@dataclass(frozen=True)
class LeftOut:
    """What does not enter a mean.

    Attributes:
        path: of the record, or of the folder of a run without one.
        cause: of what sort the reason is.
        why: in words.
        figure: the one figure that is left out, such as ``bbox.AP``; empty for all of the record.
    """

    path: Path
    cause: Cause
    why: str
    figure: str = ""

    @classmethod
    def unreadable(cls, path: Path, error: UserError) -> LeftOut:
        """Return a record that cannot be read, with why, where its path is not said again."""
        why = error.reason.replace(f" {path}", "", 1).removeprefix(f"{path} ")
        return cls(path, "unreadable", why)


@dataclass(frozen=True)
class Admission:
    """What may enter a mean, and what may not.

    Attributes:
        records: those that may, each with its file, in the order given. A figure that is named in
            ``left_out`` may not, nor one that is None.
        left_out: the others, in the order of the records.
        doubts: what is in a mean all the same, with what a reader has to know of it.
    """

    records: list[tuple[Path, Record]]
    left_out: list[LeftOut]
    doubts: list[LeftOut]
