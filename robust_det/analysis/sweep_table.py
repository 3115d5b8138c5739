"""What the finished runs of a sweep found, by their records."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from robust_det.analysis.summary import summarise
from robust_det.analysis.tables import HOW_TO_READ_MEANS, format_mean, render_table
from robust_det.analysis.transfer.cells import NONE, attack_words
from robust_det.analysis.transfer.conditions import METRIC_LABELS
from robust_det.records import RECORD_NAME, Record, read_record
from robust_det.records.detection import DetectionRecord
from robust_det.records.metrics import task_of
from robust_det.records.transfer import TransferRecord

__all__ = ["results_table"]


def results_table(folders: Iterable[tuple[Path, str]], style: str = "simple") -> str:
    """Return tables with mean and spread over seeds, one row a group, and how to read them.

    Detectors and transferred classifiers have a table each.

    Args:
        folders: of the runs, each with its group; those without a record are left out.
        style: ``simple`` for a terminal, ``pipe`` for Markdown.
    """
    detectors: dict[str, list[DetectionRecord]] = {}
    transfers: dict[str, list[TransferRecord]] = {}
    for folder, group in folders:
        if (folder / RECORD_NAME).is_file():
            record = read_record(folder)
            if isinstance(record, TransferRecord):
                transfers.setdefault(group, []).append(record)
            else:
                of_detector = read_record(folder, DetectionRecord)
                detectors.setdefault(group, []).append(of_detector)
    tables = [_transfers(transfers, style)] if transfers else []
    if detectors or not transfers:
        tables.insert(0, _detectors(detectors, style))
    return "\n\n".join([*tables, HOW_TO_READ_MEANS])


def _detectors(groups: Mapping[str, Sequence[DetectionRecord]], style: str) -> str:
    records = [record for members in groups.values() for record in members]
    tasks = dict.fromkeys(task for record in records for task in record.metrics)
    # of each task the figure that counts, and the one after it
    columns = [(task, metric) for task in tasks for metric in task_of(task).columns[:2]]
    headers = [
        task_of(task).name if metric == task_of(task).headline else metric
        for task, metric in columns
    ]
    rows = []
    for name, members in groups.items():
        shown = [format_mean(summarise(_values(members, *column))) for column in columns]
        rows.append([name, *shown, *_minutes_and_n(members)])
    return render_table(["run", *headers, "minutes", "n"], rows, 1, style)


def _values(records: Sequence[DetectionRecord], task: str, metric: str) -> list[float]:
    return _defined(record.metrics.get(task, {}).get(metric) for record in records)


def _defined(values: Iterable[float | None]) -> list[float]:
    return [math.nan if value is None else value for value in values]


def _minutes_and_n(records: Sequence[Record]) -> list[str]:
    minutes = summarise(record.wall_time_s / 60 for record in records)
    return [f"{minutes.mean:.1f}", str(len(records))]


def _transfers(groups: Mapping[str, Sequence[TransferRecord]], style: str) -> str:
    rows = []
    for name, members in groups.items():
        metric = members[0].data.headline
        headline = summarise(_defined(record.headline for record in members))
        attack, attacked = _under_attack(members)
        cells = [format_mean(headline), attacked, *_minutes_and_n(members)]
        rows.append([name, METRIC_LABELS.get(metric, metric), attack, *cells])
    headers = ["run", "metric", "attack", "accuracy %", "adversarial top-1 %", "minutes", "n"]
    return render_table(headers, rows, 3, style)


def _under_attack(members: Sequence[TransferRecord]) -> tuple[str, str]:
    """Return the attack of runs and the mean under it; none where they met different ones."""
    attacks = list(dict.fromkeys(one for record in members for one in record.evaluators))
    if len(attacks) > 1:
        return f"{len(attacks)} different ones, so no mean", NONE
    attacked = summarise(_defined(r.metrics.get("adversarial_top1") for r in members))
    return "".join(map(attack_words, attacks)) or NONE, format_mean(attacked)
