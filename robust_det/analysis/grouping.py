"""Which runs may stand in one table, and which of them are one row of it."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from robust_det.analysis.differences import as_key, condition_differences
from robust_det.analysis.labels import condition_labels
from robust_det.analysis.runs import Conditions, Run
from robust_det.analysis.summary import Summary, difference, summarise
from robust_det.analysis.texture_trained import TEXTURE_TRAINED, note_of
from robust_det.core.epsilon import eps_label
from robust_det.core.errors import UserError
from robust_det.records.metrics import task_of, task_order

__all__ = ["Repeat", "Row", "Setting", "group_runs", "repeats_of", "setting_differences"]


@dataclass
class Row:
    """The runs of one backbone in one setting: they differ in their seed alone.

    Attributes:
        runs: in the order of their seeds.
        baseline: the standard (eps 0) row of the same architecture; None for itself, if there
            is none, or if there are several and none is *the* baseline.
    """

    runs: list[Run]
    baseline: Row | None = None
    ambiguous: bool = False  # another row has the same arch, norm and eps, from other weights

    @property
    def first(self) -> Run:
        """The run with the smallest seed; all agree in arch, norm, eps and weights."""
        return self.runs[0]

    @property
    def label(self) -> str:
        """Arch, norm and eps in words; the weights' hash too, where it is needed to tell apart."""
        run = self.first
        suffix = f" ({run.weights_hash[:8]})" if self.ambiguous else ""
        return f"{run.arch} {self.eps_label}{suffix}"

    @property
    def eps_label(self) -> str:
        """``standard``, ``L2 ε 1``, ``L∞ ε 4/255`` or ``texture-trained``."""
        if note_of(self.first.arch):
            return TEXTURE_TRAINED
        return eps_label(self.first.norm, self.first.eps)

    def summary(self, task: str, metric: str = "") -> Summary:
        """Mean and spread of a metric, by default the task's headline, over the seeds."""
        metric = metric or task_of(task).headline
        return summarise(r.metrics.get(task, {}).get(metric, math.nan) for r in self.runs)

    def delta(self, task: str, metric: str = "") -> Summary | None:
        """Difference to the baseline, or None without one."""
        if self.baseline is None:
            return None
        return difference(self.summary(task, metric), self.baseline.summary(task, metric))


@dataclass
class Setting:
    """Runs that are comparable: same data, schedule, protocol and evaluator.

    Attributes:
        letter: ``A``, ``B``, ...
        conditions: what they have in common.
        rows: ordered by architecture, norm and eps, the standard backbone first.
        remarks: what a reader has to know about the runs.
        row_notes: and about means and differences of the rows, where these are what is shown.
    """

    letter: str
    conditions: Conditions
    rows: list[Row] = field(default_factory=list)
    remarks: list[str] = field(default_factory=list)
    row_notes: list[str] = field(default_factory=list)

    @property
    def notes(self) -> Sequence[str]:
        """What a reader has to know about the numbers."""
        return [*self.remarks, *self.row_notes]

    @property
    def tasks(self) -> list[str]:
        """The tasks that any run of it has metrics for."""
        return task_order({t for row in self.rows for run in row.runs for t in run.metrics})

    @property
    def test_data(self) -> str:
        """The names of the test sets."""
        return self.rows[0].first.test_data

    def rows_of(self, task: str) -> list[Row]:
        """The rows with metrics for a task."""
        return [row for row in self.rows if any(task in run.metrics for run in row.runs)]

    def best(self, task: str) -> Row | None:
        """The row with the highest headline metric, or None if it is defined for none."""
        rows = [row for row in self.rows_of(task) if row.summary(task).n]
        return max(rows, key=lambda row: row.summary(task).mean, default=None)


def _letter(number: int) -> str:
    """A, B, ..., Z, AA, AB, ..."""
    head, tail = divmod(number, 26)
    return (_letter(head - 1) if head else "") + chr(ord("A") + tail)


def group_runs(runs: Sequence[Run]) -> list[Setting]:
    """Tell runs apart that are not comparable, and put seeds of the same backbone together.

    A detector that was evaluated several times in the same way is one run, and a note says so.

    Args:
        runs: at least one; setting A is that of the first.

    Returns:
        The settings in the order in which the runs name them.

    Raises:
        UserError: two runs have the same setting, weights and seed.
    """
    again = repeats_of(runs)
    settings: dict[bytes, Setting] = {}
    rows: dict[tuple[Any, ...], Row] = {}
    for number, run in enumerate(runs):
        key = as_key(run.setting)
        setting = settings.setdefault(key, Setting(_letter(len(settings)), run.setting))
        if repeat := again.get(number):
            if not repeat.same_detector:
                raise UserError(
                    f"{repeat.first.path} and {run.path} are the same run twice (same setting,"
                    f" weights and seed {run.seed}): averaging them would count one seed twice;"
                    " give one"
                )
            setting.remarks.append(
                f"{run.path} is of the same detector as {repeat.first.path}, and counts once."
            )
            continue
        row_key = (key, *_backbone(run))
        if row_key not in rows:
            rows[row_key] = Row([])
            setting.rows.append(rows[row_key])
        rows[row_key].runs.append(run)
        rows[row_key].runs.sort(key=lambda r: r.seed)
    for setting in settings.values():
        setting.rows.sort(key=_row_order)
        _find_baselines(setting)
        _note_provenance(setting)
        _note_spread(setting)
    return list(settings.values())


@dataclass(frozen=True)
class Repeat:
    """A run that is another one once more, and must not count twice.

    Attributes:
        first: the other one.
        same_detector: whether it is known to be one detector, evaluated twice; else it is the same
            training, and which of the two counts is not known.
    """

    first: Run
    same_detector: bool


def repeats_of(runs: Sequence[Run]) -> dict[int, Repeat]:
    """Return which runs are others once more, by their place in the list."""
    out: dict[int, Repeat] = {}
    detectors: dict[tuple[Any, ...], Run] = {}
    seeds: dict[tuple[Any, ...], Run] = {}
    for number, run in enumerate(runs):
        key = (as_key(run.setting), *_backbone(run))
        first = detectors.setdefault((*key, run.detector or run.path), run)
        if first.detector and first is not run:
            out[number] = Repeat(first, True)
            continue
        first = seeds.setdefault((*key, run.seed), run)
        if first is not run:
            out[number] = Repeat(first, False)
    return out


def _backbone(run: Run) -> tuple[Any, ...]:
    return run.arch, run.norm, run.eps, run.weights_hash


def _row_order(row: Row) -> tuple[Any, ...]:
    run = row.first
    return run.arch, run.eps > 0, run.norm or "", run.eps, run.weights_hash


def _find_baselines(setting: Setting) -> None:
    alike = Counter(_row_order(row)[:4] for row in setting.rows)
    for row in setting.rows:
        row.ambiguous = alike[_row_order(row)[:4]] > 1
    for arch in dict.fromkeys(row.first.arch for row in setting.rows):
        of_arch = [row for row in setting.rows if row.first.arch == arch]
        setting.row_notes += filter(None, [note_of(arch)])
        standard = [row for row in of_arch if row.first.eps == 0]
        robust = [row for row in of_arch if row.first.eps > 0]
        if len(standard) == 1:
            for row in robust:
                row.baseline = standard[0]
        elif robust and not standard:
            setting.row_notes.append(
                f"There is no eps-0 run of {arch} in this setting: no baseline, so no difference."
            )
        elif robust:
            setting.row_notes.append(
                f"{len(standard)} eps-0 backbones of {arch} with different weights: none of them "
                "is the baseline, so no difference."
            )


def _note_provenance(setting: Setting) -> None:
    train = {one.content for one in setting.conditions.train}
    for one in setting.conditions.test:
        if one.content in train:
            setting.remarks.append(
                f"The detectors were trained on test set {one.name}: the figures are not of new"
                " images."
            )
    runs = [run for row in setting.rows for run in row.runs if run.assumed]
    if runs:
        setting.remarks.append(
            "The detector's file does not say its seed, training data and schedule, which are those"
            f" of the config it was evaluated with: {', '.join(str(run.path) for run in runs)}."
        )


def _note_spread(setting: Setting) -> None:
    numbers = {row.label: len(row.runs) for row in setting.rows}
    if set(numbers.values()) == {1}:
        setting.row_notes.append(
            "One seed a backbone: there is no measure of the spread between seeds, so a small "
            "difference may be chance."
        )
    elif len(set(numbers.values())) > 1:
        listed = ", ".join(f"{label} {number}" for label, number in numbers.items())
        setting.row_notes.append(
            f"Means are over different numbers of seeds: {listed}."
            + (" Where it is one, no spread is known." if 1 in numbers.values() else "")
        )


def setting_differences(first: Setting, other: Setting) -> list[tuple[str, str, str]]:
    """Return ``(key, value in first, value in other)`` for every key that differs."""
    one, two = condition_labels(first.conditions), condition_labels(other.conditions)
    return condition_differences(one, two)
