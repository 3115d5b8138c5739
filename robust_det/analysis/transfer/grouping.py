"""Which transfers may stand in one table, and what is one pretraining run in it."""

from __future__ import annotations

import math
import statistics
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from robust_det.analysis.differences import as_key, condition_differences
from robust_det.analysis.estimates import Estimate, estimate
from robust_det.analysis.texture_trained import TEXTURE_TRAINED, note_of, shown_arch
from robust_det.analysis.transfer.conditions import Conditions, condition_labels
from robust_det.analysis.transfer.runs import Run
from robust_det.core.epsilon import eps_label
from robust_det.core.errors import counted
from robust_det.records.pretrain import AttackEvaluator

__all__ = [
    "Backbone",
    "Repeat",
    "Row",
    "Setting",
    "group_runs",
    "repeats_of",
    "setting_differences",
]

_Figure = Callable[[Run], float]


@dataclass
class Backbone:
    """One pretraining run, and its transfers in one setting.

    Attributes:
        runs: one a transfer seed, in their order.
        attacked: by attack, those that were measured under it.
    """

    runs: list[Run] = field(default_factory=list)
    attacked: dict[AttackEvaluator, list[Run]] = field(default_factory=dict)

    @property
    def sha256(self) -> str:
        """Of its weights, or of what these were converted from."""
        return self.runs[0].record.weights.origin

    def mean(self, metric: str) -> float:
        """The mean of a clean figure over transfer seeds; NaN if it is defined in none."""
        return _mean(run.figures.get(metric, math.nan) for run in self.runs)

    def mean_under(self, attack: AttackEvaluator, metric: str) -> float:
        """The same of a figure under an attack."""
        runs = self.attacked.get(attack, [])
        return _mean(run.attacked.get(metric, math.nan) for run in runs)


def _mean(values: Any) -> float:
    defined = [value for value in values if not math.isnan(value)]
    return statistics.fmean(defined) if defined else math.nan


@dataclass
class Row:
    """The pretraining runs of one architecture, norm and eps.

    Of an unknown eps each backbone is a row of its own: nothing says that two are of one recipe.

    Attributes:
        arch, norm, eps: arch as :func:`.shown_arch` has it, norm None at eps 0, eps None if
            unknown.
        backbones: in the order of their names.
    """

    arch: str
    norm: str | None
    eps: float | None
    backbones: list[Backbone] = field(default_factory=list)

    @property
    def eps_label(self) -> str:
        """``standard``, ``L2 ε 1``, ``texture-trained``, or ``ε unknown (0123abcd)`` with the hash
        of the weights."""
        if note_of(self.arch):
            return TEXTURE_TRAINED
        if self.eps is None:
            return f"ε unknown ({self.backbones[0].sha256[:8]})"
        return eps_label(self.norm, self.eps)

    @property
    def label(self) -> str:
        """The architecture as well."""
        return f"{self.arch} {self.eps_label}"

    @property
    def attacks(self) -> list[AttackEvaluator]:
        """By which any of its runs was attacked."""
        return list(dict.fromkeys(attack for one in self.backbones for attack in one.attacked))

    def figure(self, metric: str) -> Estimate:
        """The mean of a clean figure over pretraining runs, in each over transfer seeds."""
        return estimate(one.mean(metric) for one in self.backbones)

    def figure_under(self, attack: AttackEvaluator, metric: str) -> Estimate:
        """The same of a figure under an attack."""
        return estimate(one.mean_under(attack, metric) for one in self.backbones)


@dataclass
class Setting:
    """Transfers that are comparable: same images, mode, head, protocol and quirks.

    Attributes:
        name: ``T1``, ``T2``, ...
        conditions: what they have in common.
        rows: ordered by architecture, norm and eps, the standard backbone first.
        notes: what a reader has to know about the numbers.
    """

    name: str
    conditions: Conditions
    rows: list[Row] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    @property
    def heading(self) -> str:
        """Set, mode and head, and what was done to the images."""
        own = self.conditions
        quirks = f", {own.quirks_in_words}" if own.quirks else ""
        return f"{own.set_title}, {own.how}{own.images}{quirks}"

    @property
    def runs(self) -> list[Run]:
        """All of them, each once."""
        return [run for row in self.rows for one in row.backbones for run in one.runs]

    def figure(self, row: Row) -> Estimate:
        """The figure of a row that is reported of the set."""
        return row.figure(self.conditions.data.headline)


def group_runs(runs: Sequence[Run]) -> list[Setting]:
    """Tell runs apart that are not comparable, and put transfer seeds of a backbone together.

    The same weights and seed in the same setting are one run; a note says which files are not
    counted. Measured under another attack, it counts under that as well.

    Args:
        runs: at least one.

    Returns:
        The settings, those of one set side by side, in the order in which the runs name them.
    """
    again = repeats_of(runs)
    settings: dict[bytes, Setting] = {}
    rows: dict[tuple[Any, ...], Row] = {}
    backbones: dict[tuple[Any, ...], Backbone] = {}
    for number, run in enumerate(runs):
        key, record = as_key(replace(run.conditions, set_name="")), run.record
        setting = settings.setdefault(key, Setting("", run.conditions))
        unknown = record.weights.origin if record.eps is None else ""
        arch = shown_arch(record)
        row_key = (key, arch, run.norm, record.eps, unknown)
        if row_key not in rows:
            rows[row_key] = Row(arch, run.norm, record.eps)
            setting.rows.append(rows[row_key])
        backbone_key = (*row_key, record.weights.origin)
        if backbone_key not in backbones:
            backbones[backbone_key] = Backbone()
            rows[row_key].backbones.append(backbones[backbone_key])
        repeat = again.get(number)
        if repeat is None:
            backbones[backbone_key].runs.append(run)
        else:
            setting.notes.append(repeat.note(run))
        if run.attack is not None and (repeat is None or repeat.other_attack):
            backbones[backbone_key].attacked.setdefault(run.attack, []).append(run)
    out = _side_by_side(list(settings.values()))
    for number, setting in enumerate(out, start=1):
        setting.name = f"T{number}"
        setting.rows.sort(key=_row_order)
        for row in setting.rows:
            row.backbones.sort(key=lambda one: one.runs[0].path)
            for one in row.backbones:
                one.runs.sort(key=lambda run: run.record.seed)
        _note(setting)
    _note_differences(out)
    return out


@dataclass(frozen=True)
class Repeat:
    """A transfer that is another one once more, and must not count twice.

    Attributes:
        first: the other one.
        other_attack: whether it was measured under an attack that no earlier one was, and counts
            under that.
        same: whether the clean figures are the same.
    """

    first: Run
    other_attack: bool
    same: bool

    def note(self, run: Run) -> str:
        """Say it of the run."""
        return (
            f"{run.path} has weights, seed and config of {self.first.path}, and counts once"
            f"{' but for its other attack' if self.other_attack else ''}"
            f"{'' if self.same else '; its figures differ, and those of the latter are taken'}."
        )


def repeats_of(runs: Sequence[Run]) -> dict[int, Repeat]:
    """Return which runs are others once more, by their place in the list."""
    out: dict[int, Repeat] = {}
    firsts: dict[tuple[Any, ...], Run] = {}
    attacked: set[tuple[Any, ...]] = set()
    for number, run in enumerate(runs):
        record = run.record
        backbone = (record.arch, run.norm, record.eps, record.weights.origin)
        key = (as_key(replace(run.conditions, set_name="")), *backbone, record.seed)
        first = firsts.setdefault(key, run)
        other = run.attack is not None and (key, run.attack) not in attacked
        attacked.add((key, run.attack))
        if first is not run:
            shared = [m for m in first.figures if m in run.figures]
            same = all(first.figures[m] == run.figures[m] for m in shared)
            out[number] = Repeat(first, other, same)
    return out


def _side_by_side(settings: list[Setting]) -> list[Setting]:
    sets = list(dict.fromkeys(one.conditions.set_title for one in settings))
    return sorted(settings, key=lambda one: sets.index(one.conditions.set_title))


def _row_order(row: Row) -> tuple[Any, ...]:
    known = row.eps is not None
    return row.arch, not known, bool(row.eps), row.norm or "", row.eps or 0.0, row.eps_label


def _note(setting: Setting) -> None:
    """Note what the rows have of pretraining runs and of remarks."""
    archs = dict.fromkeys(row.arch for row in setting.rows)
    setting.notes += filter(None, map(note_of, archs))
    single = [row.label for row in setting.rows if len(row.backbones) == 1]
    if single:
        who = "each" if len(single) == len(setting.rows) else f"of {', '.join(single)}"
        setting.notes.append(f"1 pretraining run {who}: no interval.")
    alike = [
        row.label for row in setting.rows if len(row.backbones) > 1 and _no_spread(setting, row)
    ]
    if alike:
        setting.notes.append(
            f"The pretraining runs of {', '.join(alike)} have the same accuracy to the last digit:"
            " no interval, and maybe one network in several files."
        )
    seeds = {len(one.runs) for row in setting.rows for one in row.backbones}
    if len(seeds) > 1:
        setting.notes.append(
            f"Backbones have different numbers of transfer seeds, {min(seeds)} to {max(seeds)};"
            " each backbone counts the same."
        )
    runs = setting.runs
    if any(run.record.selection.on == "test" for run in runs):
        setting.notes.append(
            "Settings were chosen on the test images: the figures are too high by that choice."
        )
    if remarked := [run for run in runs if run.record.selection.remarks]:
        remarks = Counter(text for run in remarked for text in run.record.selection.remarks)
        text, number = remarks.most_common(1)[0]
        setting.notes.append(
            f"Remarks on the choice of settings stand by {counted(len(remarked), 'run')} of"
            f" {len(runs)}; most often, {counted(number, 'time')}: {text}"
        )
    if skipped := setting.conditions.data.skipped:
        setting.notes.append(f"{counted(skipped, 'image')} could not be read.")


def _no_spread(setting: Setting, row: Row) -> bool:
    figure = setting.figure(row)
    return figure.n > 1 and figure.std == 0


def _note_differences(settings: Sequence[Setting]) -> None:
    """Say of settings with the same heading why they are two, or that their quirks make them."""
    for number, setting in enumerate(settings):
        alike = [one for one in settings[:number] if _name_of(one) == _name_of(setting)]
        if alike:
            found = setting_differences(alike[0], setting)
            shown = ", ".join(f"{key} {a} vs {b}" for key, a, b in found[:6])
            more = f", and {counted(len(found) - 6, 'more key')}" if len(found) > 6 else ""
            setting.notes.append(
                f"Not averaged with {alike[0].name}, from which it differs in: {shown}{more}."
            )


def _name_of(setting: Setting) -> tuple[Any, ...]:
    own = setting.conditions
    return own.set_title, own.how, own.images


def setting_differences(first: Setting, other: Setting) -> list[tuple[str, str, str]]:
    """Return ``(key, value in first, value in other)`` for every key that differs."""
    one, two = (condition_labels(each.conditions) for each in (first, other))
    return condition_differences(one, two)
