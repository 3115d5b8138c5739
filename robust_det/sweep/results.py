"""What the finished runs of a sweep found, by their records."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from robust_det.analysis.statistics import summarise
from robust_det.analysis.tables import format_mean, render_table
from robust_det.analysis.tasks import task_of
from robust_det.records import RECORD_NAME, read_record
from robust_det.sweep.notation import Entry

__all__ = ["results_table"]


def results_table(entries: Sequence[Entry], folder: Path) -> str:
    """Return a table with mean and spread over seeds; a row is what differs in SEED alone.

    Args:
        entries: of the sweep; those without a record are left out.
        folder: of the sweep.
    """
    groups: dict[str, list[dict[str, Any]]] = {}
    for entry in entries:
        if (folder / entry.name / RECORD_NAME).is_file():
            groups.setdefault(entry.group, []).append(read_record(folder / entry.name))
    records = [record for group in groups.values() for record in group]
    tasks = dict.fromkeys(task for record in records for task in record["metrics"])
    headers = ["run", *(task_of(task).name for task in tasks), "minutes", "n"]
    rows = []
    for name, group in groups.items():
        values = [
            [record["metrics"].get(t, {}).get(task_of(t).headline) for record in group]
            for t in tasks
        ]
        shown = [
            format_mean(summarise(math.nan if v is None else v for v in of_task))
            for of_task in values
        ]
        minutes = summarise(record["wall_time_s"] / 60 for record in group)
        rows.append([name, *shown, f"{minutes.mean:.1f}", str(len(group))])
    return render_table(headers, rows, 1, "simple")
