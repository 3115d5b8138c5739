"""Tables of many lines, which the page sorts, filters and searches."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from robust_det.analysis.tables import format_delta, format_mean
from robust_det.core.epsilon import format_eps, norm_label
from robust_det.site.library import Run
from robust_det.site.overview import Group

__all__ = ["Cell", "Column", "Listing", "group_listing", "run_listing"]


@dataclass(frozen=True)
class Column:
    """A column: its name, ``text`` or ``number``, and whether one may choose among its values."""

    name: str
    kind: str = "text"
    filter: bool = False


@dataclass(frozen=True)
class Cell:
    """A cell: its text, what it is sorted by where that is not the text, and where it leads."""

    text: str
    value: float | None = None
    href: str = ""


@dataclass(frozen=True)
class Listing:
    """A table; ``groups`` says of each row to which one of another table it belongs."""

    columns: Sequence[Column]
    rows: Sequence[Sequence[Cell]]
    groups: Sequence[str] = ()


_GROUP_COLUMNS = (
    Column("task", filter=True),
    Column("mode", filter=True),
    Column("protocol", filter=True),
    Column("setting", filter=True),
    Column("arch", filter=True),
    Column("backbone", filter=True),
    Column("figure", filter=True),
    Column("mean", "number"),
    Column("Δ", "number"),
    Column("backbones", "number"),
    Column("runs", "number"),
)
_RUN_COLUMNS = (
    Column("run"),
    Column("kind", filter=True),
    Column("data", filter=True),
    Column("mode", filter=True),
    Column("arch", filter=True),
    Column("norm", filter=True),
    Column("ε", "number", filter=True),
    Column("seed", "number", filter=True),
    Column("figure", filter=True),
    Column("value", "number"),
    Column("in means", filter=True),
    Column("ended"),
)


def group_listing(groups: Sequence[Group]) -> Listing:
    """Return the table of the overview, whose lines lead to the runs behind them."""
    rows = []
    for number, one in enumerate(groups):
        of, delta = one.place, one.delta
        ids = sorted({run.slug for run in one.runs})
        # one run is looked at itself, several in the list of runs
        href = one.runs[0].page if len(ids) == 1 else f"runs.html#group={number}"
        rows.append(
            [
                Cell(of.task),
                Cell(of.mode),
                Cell(of.protocol),
                Cell(one.setting),
                Cell(one.arch),
                Cell(one.backbone, _number(one.row["eps"])),
                Cell(of.metric),
                Cell(format_mean(one.mean), _number(one.mean.mean)),
                Cell(format_delta(delta), _number(delta.mean) if delta else None),
                Cell(str(one.backbones), one.backbones),
                Cell(str(len(ids)), len(ids), href),
            ]
        )
    return Listing(_GROUP_COLUMNS, rows)


def run_listing(runs: Sequence[Run], groups: Sequence[Group]) -> Listing:
    """Return the table of all runs.

    Args:
        runs: those of the site.
        groups: the lines of the overview, which lead to the runs by their places.
    """
    members: dict[str, list[str]] = {}
    for number, group in enumerate(groups):
        for slug in dict.fromkeys(run.slug for run in group.runs):
            members.setdefault(slug, []).append(str(number))
    rows = [_run_cells(run) for run in runs]
    return Listing(_RUN_COLUMNS, rows, [" ".join(members.get(run.slug, ())) for run in runs])


def _run_cells(run: Run) -> list[Cell]:
    row = run.row
    value, eps = row["value"], row["eps"]

    def text(name: str) -> str:
        return "" if row[name] is None else str(row[name])

    known = value is not None and math.isfinite(value)
    return [
        Cell(run.name, href=run.page),
        Cell(text("kind").replace("_", " ")),
        Cell(text("dataset")),
        Cell(text("mode")),
        Cell(text("arch")),
        Cell(norm_label(text("norm"))),
        Cell(format_eps(row["norm"], eps), _number(eps)),
        Cell(text("seed"), _number(row["seed"])),
        Cell(text("headline")),
        Cell(f"{value:.1f}" if known else "undefined", _number(value)),
        Cell(_in_means(run)),
        Cell(text("created")[:10]),
    ]


def _in_means(run: Run) -> str:
    if not run.counts:
        return "no"
    return "in part" if run.left_out else "yes"


def _number(value: Any) -> float | None:
    """What a cell is sorted by, briefly; None if it is not known."""
    if value is None or not math.isfinite(value):
        return None
    return float(f"{value:.6g}")
