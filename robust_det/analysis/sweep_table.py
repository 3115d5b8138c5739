"""What the finished runs of a sweep found, by their records."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from pathlib import Path

from robust_det.analysis.summary import summarise
from robust_det.analysis.tables import HOW_TO_READ_MEANS, format_mean, render_table
from robust_det.records import RECORD_NAME, read_record
from robust_det.records.detection import DetectionRecord
from robust_det.records.metrics import task_of

__all__ = ["results_table"]


def results_table(folders: Iterable[tuple[Path, str]], style: str = "simple") -> str:
    """Return a table with mean and spread over seeds, one row a group, and how to read it.

    Args:
        folders: of the runs, each with its group; those without a record are left out.
        style: ``simple`` for a terminal, ``pipe`` for Markdown.
    """
    groups: dict[str, list[DetectionRecord]] = {}
    for folder, group in folders:
        if (folder / RECORD_NAME).is_file():
            groups.setdefault(group, []).append(read_record(folder, DetectionRecord))
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
        minutes = summarise(record.wall_time_s / 60 for record in members)
        rows.append([name, *shown, f"{minutes.mean:.1f}", str(len(members))])
    table = render_table(["run", *headers, "minutes", "n"], rows, 1, style)
    return f"{table}\n\n{HOW_TO_READ_MEANS}"


def _values(records: Sequence[DetectionRecord], task: str, metric: str) -> list[float]:
    values = [record.metrics.get(task, {}).get(metric) for record in records]
    return [math.nan if value is None else value for value in values]
