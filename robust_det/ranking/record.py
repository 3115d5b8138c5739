"""``rank.json``: what was ranked, on what, and what came out; and the folder that holds it."""

from __future__ import annotations

import math
from collections.abc import Mapping
from operator import methodcaller
from pathlib import Path
from typing import Any, Final, Literal

import msgspec

from robust_det.core.errors import UserError
from robust_det.core.files import write_atomically
from robust_det.core.locks import NAME
from robust_det.core.resampling import Interval
from robust_det.ranking.reached import Correlation
from robust_det.records.environment import Environment

__all__ = [
    "RECORD",
    "Figure",
    "RankRecord",
    "RankedBackbone",
    "RankedRow",
    "figure_of",
    "read_ranking",
    "refuse_others",
    "write_ranking",
]

RECORD: Final = "rank.json"


class Figure(msgspec.Struct, frozen=True):
    """A figure and its 95% interval."""

    value: float
    low: float
    high: float


class RankedBackbone(msgspec.Struct, frozen=True):
    """A backbone that was scored.

    Attributes:
        name, path, sha256: the file.
        arch, norm, eps: as its file says; eps None if it does not.
        penalty: of the ridge, as a share of the features' largest variance.
        scores: by metric; accuracies in percent.
    """

    name: str
    path: str
    sha256: str
    arch: str
    norm: str
    eps: float | None
    penalty: float
    scores: dict[str, float]


class RankedRow(msgspec.Struct, frozen=True):
    """A row of the table.

    Attributes:
        label: in words.
        sha256: of its backbones.
        figures: by metric.
        best_share: of the resamples in which it is the best.
        behind: its headline minus that of the first row; None of that one.
    """

    label: str
    sha256: list[str]
    figures: dict[str, Figure]
    best_share: float
    behind: Figure | None


class RankRecord(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A ranking.

    Attributes:
        what: the examples, ``boxes`` or ``images``.
        data: what the examples were taken from, with digests.
        settings: size, draws, stages, and all else that scores follow from.
        classes: of the examples.
        headline: the metric that orders the rows.
        backbones: each that was scored.
        rows: of the table, the best first.
        findings: in sentences.
        reached: correlations with what fine-tuning reached, where runs were given.
        environment: versions, commit, device, command.
        wall_time_s: seconds.
    """

    kind: Literal["rank"] = "rank"
    schema: Literal[1] = 1
    what: str
    data: dict[str, Any]
    settings: dict[str, Any]
    classes: list[str]
    headline: str
    backbones: list[RankedBackbone]
    rows: list[RankedRow]
    findings: list[str]
    reached: list[Correlation]
    environment: Environment
    wall_time_s: float


def figure_of(one: Interval) -> Figure:
    """Return a figure with its interval as a record keeps it."""
    return Figure(one.value, one.low, one.high)


def refuse_others(folder: Path) -> None:
    """Refuse a folder of anything but an earlier ranking.

    Raises:
        UserError: it is a file, or holds something else.
    """
    advice = "choose another --output"
    if folder.exists() and not folder.is_dir():
        raise UserError(f"{folder} is a file; {advice}")
    if not folder.exists() or all(path.name == NAME for path in folder.iterdir()):
        return
    try:
        read_ranking(folder)
    except UserError:
        raise UserError(f"{folder} holds something other than a ranking; {advice}") from None


def read_ranking(folder: str | Path) -> RankRecord:
    """Read the record of a ranking, given its folder or the file itself.

    Raises:
        UserError: there is none, or this version cannot read it.
    """
    path = Path(folder)
    path = path / RECORD if path.is_dir() else path
    try:
        return msgspec.json.decode(path.read_bytes(), type=RankRecord)
    except (OSError, ValueError) as error:
        raise UserError(f"{path} is no ranking that can be read: {error}") from error


def write_ranking(folder: Path, record: RankRecord, others: Mapping[str, bytes]) -> None:
    """Write a ranking's files, each atomically.

    The record comes first, so that a killed process leaves a folder that the next one takes for a
    ranking.

    Raises:
        UserError: the disk refuses.
        ValueError: a figure is not finite.
    """
    numbers = [
        n for row in record.rows for f in row.figures.values() for n in msgspec.structs.astuple(f)
    ]
    if not all(map(math.isfinite, numbers)):
        raise ValueError(f"figures that are not finite: {numbers}")
    text = msgspec.json.format(msgspec.json.encode(record), indent=1) + b"\n"
    for name, content in {RECORD: text, **others}.items():
        write_atomically(folder / name, methodcaller("write", content))
