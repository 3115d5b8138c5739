"""The pictures of a setting as the page has them."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from robust_det.analysis.grouping import Row
from robust_det.analysis.runs import Run

__all__ = ["Column", "Gallery", "Tile"]


@dataclass(frozen=True)
class Column:
    """What stands above the pictures of a run; ``name`` is the run's."""

    label: str
    name: str = ""

    @classmethod
    def of(cls, row: Row, run: Run) -> Column:
        """Return that of a backbone's run, with its seed where there are several."""
        seed = f", seed {run.seed}" if len(row.runs) > 1 else ""
        return cls(row.label + seed, run.name)


@dataclass(frozen=True)
class Tile:
    """A picture.

    Attributes:
        path: within the report; None where there is no picture.
        words: what was found in it; may be empty.
    """

    path: str | None = None
    words: str = ""


@dataclass
class Gallery:
    """The pictures of a setting: a row an image, the ground truth first, then a column a run.

    Attributes:
        columns: of the pictures.
        rows: by image, one a column.
        reasons: why an image is there, by image; may be empty.
        how_to_read: what is drawn, and in which order.
        legend: what each kind of line means, with its colour; may be empty.
        files: path within the report -> its content, or the file to copy there.
        problems: sentences on what cannot be shown.
    """

    columns: list[Column] = field(default_factory=lambda: [Column("ground truth")])
    rows: dict[str, list[Tile]] = field(default_factory=dict)
    reasons: dict[str, str] = field(default_factory=dict)
    how_to_read: str = ""
    legend: list[tuple[str, str]] = field(default_factory=list)
    files: dict[str, bytes | Path] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)
