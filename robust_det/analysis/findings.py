"""What the numbers say, in sentences computed from them."""

from __future__ import annotations

import math
from collections.abc import Sequence

from robust_det.analysis.grouping import Row, Setting
from robust_det.analysis.summary import Summary
from robust_det.analysis.tables import format_mean
from robust_det.records.metrics import task_of

__all__ = ["key_findings"]


def key_findings(settings: Sequence[Setting]) -> list[str]:
    """Return one sentence per setting, task and architecture: did a robust backbone help?"""
    sentences = []
    for setting in settings:
        for task in setting.tasks:
            rows = [row for row in setting.rows_of(task) if row.summary(task).n]
            name = task_of(task).name
            where = f"{name} on {setting.test_data}"
            if len(settings) > 1:
                where += f" (setting {setting.letter})"
            if not rows:
                sentences.append(f"{where}: not defined, no run had an object to find.")
            for arch in dict.fromkeys(row.first.arch for row in rows):
                of_arch = [row for row in rows if row.first.arch == arch]
                sentences.append(f"{where}, {arch}: {_finding(of_arch, task)}")
    return sentences


def _finding(rows: list[Row], task: str) -> str:
    robust = [row for row in rows if row.first.eps > 0]
    if not robust:
        return f"standard backbone only, {format_mean(rows[0].summary(task))}."
    best = max(robust, key=lambda row: row.summary(task).mean)
    value, delta = format_mean(best.summary(task)), best.delta(task)
    if best.baseline is None or delta is None or math.isnan(delta.mean):
        return f"best is {best.eps_label} with {value}; there is no standard baseline."
    base = format_mean(best.baseline.summary(task))
    gap = f"{abs(delta.mean):.1f}"
    if gap == "0.0":
        verdict = f"{best.eps_label} and the standard backbone are level at {value} and {base}"
    elif delta.mean > 0:
        verdict = f"{best.eps_label} reaches {value}, {gap} above the standard backbone ({base})"
    elif len(robust) > 1:
        verdict = (
            f"no robust backbone beats the standard one ({base}); "
            f"the nearest, {best.eps_label}, is {gap} below ({value})"
        )
    else:
        verdict = f"{best.eps_label} reaches {value}, {gap} below the standard backbone ({base})"
    return f"{verdict}{_caution(delta)}."


def _caution(delta: Summary) -> str:
    if math.isnan(delta.std):
        return "; without two seeds of both, the spread is unknown"
    if abs(delta.mean) < delta.std:
        return f"; that is within the spread between seeds (± {delta.std:.1f})"
    return f"; the spread between seeds is ± {delta.std:.1f}"
