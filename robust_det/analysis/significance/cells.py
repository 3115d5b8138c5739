"""Intervals, differences and errors as cells, and as a CSV file."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import Any

from robust_det.analysis.significance.accumulate import METRICS
from robust_det.analysis.significance.bootstrap import Interval
from robust_det.analysis.significance.study import Figure, TaskStudy
from robust_det.analysis.significance.tide import KINDS
from robust_det.analysis.tables import csv_of, signed

__all__ = [
    "HOW_TO_READ_ERRORS",
    "Table",
    "csv_text",
    "difference_table",
    "errors_csv_text",
    "errors_table",
    "figure_table",
    "how_to_read",
    "interval_cell",
]

Table = tuple[list[str], list[list[str]]]
_KINDS = {
    "basic": (
        "Those of single figures are of the basic kind: the percentiles of the resamples, reflected"
        " about the figure (Davison & Hinkley 1997, section 5.2), as AP over few images is biased;"
        " --interval percentile gives the percentiles as they are."
    ),
    "percentile": (
        "Those of single figures are the percentiles of the resamples as they are; --interval basic"
        " reflects them about the figure."
    ),
}
_HOW_TO_READ = (
    "Intervals are 95% bootstrap intervals over the test images: how far a figure could lie off,"
    " had other images been drawn. {kind} Differences are paired: both detectors are scored on the"
    " same resampled images, and theirs are always percentiles, as the bias is in both sides;"
    " ΔAP > 0 and ΔAP < 0 are the shares of the resamples on either side of 0. What another seed of"
    " the training changes is not in them. [—] is no interval: more than 1% of the resamples have"
    " no object, or none of that size, of some class, and the mean over the classes left is another"
    " figure."
)
HOW_TO_READ_ERRORS = (
    "Kinds of errors as in TIDE (Bolya et al. 2020), foreground from an IoU of 0.5 and background"
    " to 0.1. A cell is the AP50 that fixing the errors of one kind alone would add, and how many"
    " there are; the gains do not add up."
)
_NONE = "—"


def how_to_read(one: TaskStudy) -> str:
    """What the intervals of a study mean, and of which kind they are."""
    return _HOW_TO_READ.format(kind=_KINDS[one.interval])


def _number(value: float, delta: bool = False) -> str:
    """``37.9``, or with its sign; a dash if undefined."""
    if math.isnan(value):
        return _NONE
    # an interval's end may lie below 0, and has its sign then
    return signed(value) if delta or value < 0 else f"{value:.1f}"


def interval_cell(interval: Interval, delta: bool = False) -> str:
    """``37.9 [36.1, 39.4]``, or with signs ``+0.4 [−0.3, +1.0]``."""
    if math.isnan(interval.value):
        return _NONE
    defined = [end for end in (interval.low, interval.high) if not math.isnan(end)]
    ends = ", ".join(_number(end, delta) for end in defined) or _NONE
    return f"{_number(interval.value, delta)} [{ends}]"


def _share(value: float) -> str:
    return _NONE if math.isnan(value) else f"{100 * value:.1f}%"


def figure_table(one: TaskStudy) -> Table:
    """Return headers and cells of the figures, a row each run, and one for the mean of several."""
    rows = [
        [f.row.label, f.seed, *(interval_cell(f.intervals[m]) for m in METRICS)]
        for f in one.figures
    ]
    return ["backbone", "seed", *METRICS], rows


def difference_table(one: TaskStudy) -> Table:
    """Return headers and cells of the differences to the standard backbone."""
    rows = []
    for d in one.differences:
        ap = d.intervals["AP"]
        first, *rest = (interval_cell(d.intervals[m], delta=True) for m in METRICS)
        rows.append([d.label, first, _share(ap.above), _share(ap.below), *rest])
    first, *rest = (f"Δ{m}" for m in METRICS)
    return ["minus standard", first, f"{first} > 0", f"{first} < 0", *rest], rows


def errors_table(one: TaskStudy) -> Table:
    """Return headers and cells of the kinds of errors, one row a run."""
    rows = [
        [
            e.row.label,
            str(e.run.seed),
            _number(e.breakdown.ap50),
            *(f"{_number(e.breakdown.gains[k], True)} ({e.breakdown.counts[k]})" for k in KINDS),
        ]
        for e in one.errors
    ]
    return ["backbone", "seed", "AP50", *KINDS.values()], rows


def csv_text(studies: Sequence[TaskStudy]) -> str:
    """Return all intervals in full precision: one line per figure or difference, and metric.

    ``seed`` is empty for a mean over runs; ``above`` and ``below`` are the shares of the resamples
    on either side of 0 and empty for figures. Undefined numbers are empty.
    """
    head = ["setting", "task", "what", "backbone", "run", "seed", "metric"]
    return csv_of([*head, "value", "low", "high", "above", "below"], _interval_lines(studies))


def _interval_lines(studies: Sequence[TaskStudy]) -> Iterator[list[Any]]:
    for one in studies:
        where = [one.setting.letter, one.task]
        named: list[tuple[list[Any], Any]] = [
            ([*where, "figure", f.row.label, *_run(f)], f.intervals) for f in one.figures
        ]
        named += [
            ([*where, "difference", d.row.label, "", "" if d.seed is None else d.seed], d.intervals)
            for d in one.differences
        ]
        for start, intervals in named:
            for metric, i in intervals.items():
                yield [*start, metric, i.value, i.low, i.high, i.above, i.below]


def _run(figure: Figure) -> list[Any]:
    """Name and seed of the run that figures are of."""
    return ["", ""] if figure.run is None else [figure.run.name, figure.run.seed]


def errors_csv_text(studies: Sequence[TaskStudy]) -> str:
    """Return all errors in full precision: one line per run, task and kind of error."""
    return csv_of(
        ["setting", "task", "backbone", "run", "seed", "error", "count", "dap50", "ap50"],
        (
            [one.setting.letter, one.task, e.row.label, e.run.name, e.run.seed, KINDS[kind]]
            + [e.breakdown.counts[kind], e.breakdown.gains[kind], e.breakdown.ap50]
            for one in studies
            for e in one.errors
            for kind in KINDS
        ),
    )
