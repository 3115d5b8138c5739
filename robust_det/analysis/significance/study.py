"""Intervals, paired differences and errors of all runs of a comparison."""

from __future__ import annotations

import logging
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from robust_det.analysis.grouping import Row, Setting
from robust_det.analysis.labels import evaluator_names
from robust_det.analysis.options import Options
from robust_det.analysis.runs import Run
from robust_det.analysis.significance.bootstrap import (
    FEWEST_RESAMPLES,
    INTERVALS,
    Bootstrap,
    Interval,
    bootstrap,
    difference_interval,
    figure_interval,
    mean_of,
)
from robust_det.analysis.significance.evidence import (
    find_detections,
    find_truth,
    has_objects,
    lacking,
    read_detections,
    read_truth,
    scored_by_coco,
    scored_tasks,
)
from robust_det.analysis.significance.matching import match
from robust_det.analysis.significance.tide import ErrorBreakdown, error_breakdown
from robust_det.core.errors import UserError
from robust_det.records.metrics import task_of

__all__ = ["Difference", "Figure", "RunErrors", "TaskStudy", "study", "study_of"]

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Figure:
    """The figures of one run, or, without one, the means over all runs of a backbone."""

    row: Row
    run: Run | None
    intervals: Mapping[str, Interval]
    runs: int = 1

    @property
    def seed(self) -> str:
        """The seed, or how many runs are pooled."""
        return f"mean of {self.runs}" if self.run is None else str(self.run.seed)


@dataclass(frozen=True)
class Difference:
    """A backbone's figures minus those of its standard one.

    Attributes:
        seed: of both runs, or None for the means over the runs of each.
        runs: how many of each there are.
        comparisons: how many robust backbones stand against the same standard one.
        together: the interval of AP that holds for all of these at once, with 95%.
    """

    row: Row
    seed: int | None
    runs: tuple[int, int]
    intervals: Mapping[str, Interval]
    comparisons: int
    together: Interval

    @property
    def label(self) -> str:
        """Backbone and seed, or how many runs are pooled."""
        if self.seed is not None:
            return f"{self.row.label}, seed {self.seed}"
        mine, theirs = self.runs
        return f"{self.row.label}, mean of {mine if mine == theirs else f'{mine} and {theirs}'}"


@dataclass(frozen=True)
class RunErrors:
    """The errors of one run."""

    row: Row
    run: Run
    breakdown: ErrorBreakdown


@dataclass
class TaskStudy:
    """What is known of one task in one setting; lists are empty where it was not asked for."""

    setting: Setting
    task: str
    interval: str = "basic"
    figures: list[Figure] = field(default_factory=list)
    differences: list[Difference] = field(default_factory=list)
    errors: list[RunErrors] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def figure_of(self, row: Row) -> Figure | None:
        """The figures of a backbone over all of its runs, if they were computed."""
        of_row = [one for one in self.figures if one.row is row]
        return of_row[-1] if of_row else None

    def overall(self, row: Row) -> Difference | None:
        """The difference of a backbone over all of its runs, if it was computed."""
        of_row = [one for one in self.differences if one.row is row]
        return of_row[-1] if of_row else None


def study_of(studies: Sequence[TaskStudy], setting: Setting, task: str) -> TaskStudy | None:
    """Return the study of a task in a setting, if there is one."""
    return next((s for s in studies if (s.setting, s.task) == (setting, task)), None)


# (record, task) -> bbox or segm, ground truth, detections
_Inputs = dict[tuple[Path, str], tuple[str, Path, Path]]


def study(settings: Sequence[Setting], options: Options) -> list[TaskStudy]:
    """Go through the saved detections of all runs.

    A setting that was scored by other rules than COCO's is left out, and gets a note that says so.

    Raises:
        UserError: a run's detections or ground truth are missing or have changed, or no run was
            scored by COCO's rules.
    """
    _check_options(settings, options)
    usable = [s for s in settings if scored_by_coco(s.rows[0].first)]
    if not usable and not options.where_possible:
        raise UserError(
            "no run was scored by COCOEvaluator, whose AP --significance and --errors are about;"
            " leave both out"
        )
    for setting in (s for s in settings if s not in usable):
        setting.remarks.append(
            f"Scored by {evaluator_names(setting.conditions.evaluators)}: intervals and kinds of"
            " errors are for COCO's"
            " AP, so there are none."
        )
    for setting in usable:
        if left_out := [task_of(t).name for t in setting.tasks if not has_objects(t)]:
            setting.remarks.append(
                f"Intervals and kinds of errors are for AP: there are none for"
                f" {' and '.join(left_out)}."
            )
    # all files are looked for before the first of the long computations
    inputs: _Inputs = {}
    for setting in usable:
        for row in setting.rows:
            if options.where_possible and (why := lacking(row.runs, options.annotations)):
                # a mean over some of a row's runs would stand beside that over all of them
                setting.remarks.append(
                    f"{row.label}: no intervals and no kinds of errors, as {why}."
                )
                continue
            inputs |= _inputs(row, options)
    return [
        _task(setting, task, inputs, options)
        for setting in usable
        for task in setting.tasks
        if any((run.path, task) in inputs for row in setting.rows for run in row.runs)
    ]


def _inputs(row: Row, options: Options) -> _Inputs:
    out: _Inputs = {}
    for run in row.runs:
        for task, (kind, data) in scored_tasks(run).items():
            truth = find_truth(run, data, options.annotations)
            out[run.path, task] = (kind, truth, find_detections(run, data))
    return out


def _check_options(settings: Sequence[Setting], options: Options) -> None:
    if options.seed < 0:
        raise UserError("--seed starts from 0")
    if options.interval not in INTERVALS:
        raise UserError(f"--interval is {' or '.join(INTERVALS)}, not {options.interval!r}")
    rows = [row for setting in settings for row in setting.rows if row.baseline is not None]
    rivals = max((sum(o.baseline is row.baseline for o in rows) for row in rows), default=1)
    # with fewer, the ends of an interval lie beyond all resamples
    if options.significance and options.resamples < (fewest := FEWEST_RESAMPLES * rivals):
        raise UserError(
            f"--resamples {options.resamples} are too few for 95% intervals"
            f"{f' that hold for {rivals} backbones at once' if rivals > 1 else ''}; give at least"
            f" {fewest}"
        )


def _task(setting: Setting, task: str, inputs: _Inputs, options: Options) -> TaskStudy:
    out = TaskStudy(setting, task, options.interval)
    resampled: dict[Path, Bootstrap] = {}
    for row in setting.rows_of(task):
        for run in (run for run in row.runs if (run.path, task) in inputs):
            kind, truth_file, found = inputs[run.path, task]
            evidence = read_truth(truth_file)
            truth, detections = evidence.document, read_detections(found, evidence)
            where = f"{run.name} (seed {run.seed}) {task}"
            if options.significance:
                logger.info(f"{where}: {options.resamples} resamples")
                matches = match(truth, detections, kind, f"match {where}")
                one = bootstrap(matches, options.resamples, options.seed, f"resample {where}")
                resampled[run.path] = one
                out.figures.append(_figure(row, run, [one], options.interval))
                out.notes += _contradiction(run, task, one)
            if options.errors:
                logger.info(f"{where}: kinds of errors")
                breakdown = error_breakdown(truth, detections, kind, f"errors {where}")
                out.errors.append(RunErrors(row, run, breakdown))
        pooled = [resampled[run.path] for run in row.runs if run.path in resampled]
        if len(pooled) > 1:
            out.figures.append(_figure(row, None, pooled, options.interval))
    rows = setting.rows_of(task)
    for row in rows:
        rivals = sum(other.baseline is row.baseline for other in rows)
        out.differences += _differences(row, resampled, rivals)
    return out


def _figure(row: Row, run: Run | None, several: list[Bootstrap], kind: str) -> Figure:
    one = mean_of(several)
    intervals = {name: figure_interval(one, name, kind) for name in one.values}
    return Figure(row, run, intervals, len(several))


def _contradiction(run: Run, task: str, one: Bootstrap) -> list[str]:
    """A note if the detections do not give the AP that the record says."""
    recorded, found = run.metrics[task]["AP"], one.values["AP"]
    if math.isnan(recorded) or abs(recorded - found) < 1e-6:
        return []
    return [
        f"The record of run {run.name} says {task} AP {recorded:.4f}; its detections give"
        f" {found:.4f}."
    ]


def _differences(
    row: Row, resampled: Mapping[Path, Bootstrap], comparisons: int
) -> list[Difference]:
    if row.baseline is None:
        return []
    mine = {run.seed: resampled[run.path] for run in row.runs if run.path in resampled}
    theirs = {r.seed: resampled[r.path] for r in row.baseline.runs if r.path in resampled}

    def paired(
        seed: int | None, runs: tuple[int, int], run: Bootstrap, baseline: Bootstrap
    ) -> Difference:
        intervals = {m: difference_interval(run, baseline, m) for m in run.values}
        together = difference_interval(run, baseline, "AP", comparisons)
        return Difference(row, seed, runs, intervals, comparisons, together)

    out = [paired(s, (1, 1), mine[s], theirs[s]) for s in sorted(set(mine) & set(theirs))]
    if mine and theirs and (len(out), len(mine), len(theirs)) != (1, 1, 1):
        means = mean_of(list(mine.values())), mean_of(list(theirs.values()))
        out.append(paired(None, (len(mine), len(theirs)), *means))
    return out
