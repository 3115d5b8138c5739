"""Whether the scores put backbones in the order that fine-tuning really did."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec

from robust_det.core.errors import UserError, counted
from robust_det.ranking.correlation import FEWEST, rank_correlation
from robust_det.records import Record
from robust_det.records.detection import DetectionRecord
from robust_det.records.metrics import task_of
from robust_det.records.store import find_records, load_records
from robust_det.records.transfer import TransferRecord

__all__ = ["Correlation", "Reached", "correlations", "read_reached", "require_common", "sentence"]


class Reached(msgspec.Struct, frozen=True):
    """What the finished runs of one setting reached, from each backbone.

    Attributes:
        setting: what they have in common, in words.
        metric: what they reached, such as ``bbox AP``.
        values: of each run, in percent, by the SHA-256 of the backbone, or of what it was converted
            from.
    """

    setting: str
    metric: str
    values: dict[str, list[float]]


class Correlation(msgspec.Struct, frozen=True):
    """Spearman's rank correlation of scores and what fine-tuning reached.

    Attributes:
        setting, metric: see :class:`Reached`.
        score: the metric of the ranking.
        backbones, runs: how many are in both; of several runs of a backbone, the mean counts.
        rho: in [-1, 1]; None where all scores are equal.
    """

    setting: str
    metric: str
    score: str
    backbones: int
    runs: int
    rho: float | None


def read_reached(paths: Sequence[str | Path]) -> list[Reached]:
    """Read finished runs, those of one setting together.

    Args:
        paths: run folders, folders of such, or ``record.json`` files, of detectors or
            transfers.

    Raises:
        UserError: there is no record, or one cannot be read.
    """
    found = find_records(paths)
    if not found.records:
        raise UserError(
            f"no run record in {', '.join(map(str, found.without))}; a run writes it when it ends"
        )
    by_setting: dict[tuple[bytes, str], Reached] = {}
    for path, record in load_records(found.records):
        for setting, words, metric, value in _results(path, record):
            one = by_setting.setdefault((setting, metric), Reached(words, metric, {}))
            one.values.setdefault(record.weights.origin, []).append(value)
    return list(by_setting.values())


def require_common(reached: Sequence[Reached], origins: Iterable[str]) -> None:
    """Refuse runs that have too few of the backbones that are to be ranked.

    Args:
        reached: of finished runs.
        origins: of the backbones, see :class:`.BackboneFile`.

    Raises:
        UserError: no setting has three of them.
    """
    ours = set(origins)
    most = max((len(ours.intersection(one.values)) for one in reached), default=0)
    if most < FEWEST:
        raise UserError(
            f"the records of --reached have {counted(most, 'backbone')} of those that are ranked"
            f" in one setting, by SHA-256, and a rank correlation needs {FEWEST} or more; rank the"
            " files that the runs started from"
        )


def correlations(
    reached: Sequence[Reached], scores: Mapping[str, Mapping[str, float]]
) -> list[Correlation]:
    """Correlate scores with what was reached, for each setting with enough backbones in common.

    Args:
        reached: of finished runs.
        scores: metric -> origin of a backbone, see :class:`.BackboneFile` -> its score.
    """
    out = []
    for one in reached:
        for metric, of_file in scores.items():
            common = [origin for origin in of_file if origin in one.values]
            if len(common) < FEWEST:
                continue
            means = [math.fsum(one.values[o]) / len(one.values[o]) for o in common]
            rho = rank_correlation([of_file[o] for o in common], means)
            runs = sum(len(one.values[o]) for o in common)
            out.append(Correlation(one.setting, one.metric, metric, len(common), runs, rho))
    return out


def sentence(one: Correlation, title: str) -> str:
    """Say a correlation.

    Args:
        one: it.
        title: of its score.
    """
    shown = f"is {one.rho:.2f}".replace("-", "−") if one.rho is not None else ""
    value = shown or "is not defined, all being equal"
    return (
        f"Rank correlation of {title} and the {one.metric} reached on {one.setting} {value}"
        f" (Spearman; {one.backbones} backbones, {counted(one.runs, 'run')})."
    )


def _results(path: Path, record: Record) -> list[tuple[bytes, str, str, float]]:
    """Return setting, its words, metric and value of a run; of none that has no figure."""
    key: list[Any]
    data: list[Any]
    if isinstance(record, DetectionRecord):
        data = [[one.content for one in sets] for sets in (record.data.train, record.data.test)]
        key = [data, record.schedule, record.protocol, [e.name for e in record.evaluators]]
        words = ", ".join(one.name for one in record.data.test)
        figures = [
            (f"{task} {task_of(task).headline}", values.get(task_of(task).headline))
            for task, values in record.metrics.items()
        ]
    elif isinstance(record, TransferRecord):
        one = record.data
        data = [one.set, one.manifest, one.subset, one.downscale]
        key = [data, record.mode, record.head, record.quirks]
        words = f"{record.set_name}, {record.mode}, {record.head}"
        figures = [(one.headline, record.headline)]
    else:
        raise UserError(
            f"run record {path} is of kind {record.kind()}; --reached takes those of detectors and"
            " transfers"
        )
    setting = msgspec.json.encode(key, order="sorted")
    return [(setting, words, metric, value) for metric, value in figures if value is not None]
