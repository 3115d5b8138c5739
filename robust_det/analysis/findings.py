"""What the numbers say, in sentences computed from them: does a robust backbone help?"""

from __future__ import annotations

import math
from collections.abc import Sequence

from robust_det.analysis.grouping import Row, Setting
from robust_det.analysis.significance.cells import interval_cell
from robust_det.analysis.significance.evidence import has_objects, scored_by_coco
from robust_det.analysis.significance.study import Difference, TaskStudy, study_of
from robust_det.analysis.tables import format_mean, signed
from robust_det.analysis.texture_trained import TEXTURE_TRAINED, note_of
from robust_det.core.errors import counted
from robust_det.records.metrics import task_of

__all__ = ["key_findings"]


def key_findings(
    settings: Sequence[Setting], studies: Sequence[TaskStudy] = (), asked: bool = False
) -> list[str]:
    """Return one sentence per setting, task and architecture, which starts with the answer.

    ``Yes`` and ``No`` are said where an interval over images leaves 0 out, and it is wide enough
    for all robust backbones at once if the best of several was chosen after looking.

    Args:
        settings: at least one.
        studies: of the settings, those that there are.
        asked: whether intervals were asked for, of which the notes then say why there are none.
    """
    sentences = []
    for setting in settings:
        for task in setting.tasks:
            study = study_of(studies, setting, task)
            rows = [row for row in setting.rows_of(task) if row.summary(task).n]
            where = setting.test_data
            if len(settings) > 1:
                where += f" (setting {setting.letter})"
            if not rows:
                name = task_of(task).name
                sentences.append(f"{name} on {where}: not defined, no run had an object to find.")
            for arch in dict.fromkeys(row.first.arch for row in rows):
                of_arch = [row for row in rows if row.first.arch == arch]
                sentences.append(_finding(of_arch, task, where, study, asked))
    return sentences


def _finding(rows: list[Row], task: str, where: str, study: TaskStudy | None, asked: bool) -> str:
    arch, name = rows[0].first.arch, task_of(task).name
    subject = f"{name} on {where}, {arch}"
    robust = [row for row in rows if row.first.eps > 0]
    standard = [row for row in rows if row.first.eps == 0]
    if not robust:
        value = format_mean(standard[0].summary(task))
        if note_of(arch):
            return f"{subject}: {value}; {TEXTURE_TRAINED}, it is no baseline of others."
        return (
            f"No answer: {subject} is there for the standard backbone only, {value}; add runs from"
            " a robust one."
        )
    compared = [row for row in robust if _mean_difference(row, task) is not None]
    if not compared:
        best = max(robust, key=lambda row: row.summary(task).mean)
        value = format_mean(best.summary(task))
        if len(standard) > 1:
            missing = "several standard backbones are there and none is the baseline; give one"
        elif standard or best.baseline is not None:
            missing = "it is not defined for the standard backbone"
        else:
            missing = "there is no standard baseline; add runs at eps 0 in the same setting"
        return f"No answer: {subject}: {best.eps_label} has {value}, and {missing}."
    differences = {}
    for row in compared:
        found = study.overall(row) if study is not None else None
        if found is not None and not math.isnan(found.together.low):
            differences[row.label] = found
    row, answer = _verdict(compared, task, differences)
    difference = differences.get(row.label)
    assert row.baseline is not None
    values = (
        f"{row.eps_label} {format_mean(row.summary(task))},"
        f" standard {format_mean(row.baseline.summary(task))}"
    )
    if difference is None:
        gap = signed(_mean_difference(row, task) or 0.0)
        return (
            f"{answer}: {gap} {_lower(name)} on {where}, {arch} ({values}), {_seeds(row, task)};"
            f" {_highest(compared)}{_no_interval(row, task, study, asked)}."
        )
    interval = interval_cell(difference.intervals["AP"], delta=True)
    return (
        f"{answer}: {interval} {_lower(name)} over images, {_seeds(row, task)}, on {where}, {arch}"
        f" ({values}){_chosen(difference)}{_others(row, differences)}{_caution(row, task)}."
    )


def _mean_difference(row: Row, task: str) -> float | None:
    delta = row.delta(task)
    return None if delta is None or math.isnan(delta.mean) else delta.mean


def _verdict(rows: list[Row], task: str, differences: dict[str, Difference]) -> tuple[Row, str]:
    """The row that the answer is about, and the answer."""
    ranked = sorted(rows, key=lambda row: row.summary(task).mean, reverse=True)
    known = [row for row in ranked if row.label in differences]
    if not known:
        return ranked[0], "Not known"
    above = [row for row in known if differences[row.label].together.low > 0]
    if above:
        return above[0], "Yes, on this data"
    below = [row for row in known if differences[row.label].together.high < 0]
    if len(below) == len(rows):
        return below[0], "No, on this data"
    return known[0], "Not shown"


def _seeds(row: Row, task: str) -> str:
    """How many seeds a difference is over: ``2 seeds``, or ``3 and 2 seeds``."""
    assert row.baseline is not None
    mine, theirs = row.summary(task).n, row.baseline.summary(task).n
    return counted(mine, "seed") if mine == theirs else f"{mine} and {theirs} seeds"


def _chosen(difference: Difference) -> str:
    """What the choice of the best of several does to the interval."""
    if difference.comparisons == 1:
        return ""
    level = 100 - 5 / difference.comparisons
    wide = interval_cell(difference.together, delta=True).partition(" ")[2]
    return (
        f"; of {difference.comparisons} robust backbones one was picked after looking, and the"
        f" answer allows for that: {wide} at {level:.4g}%"
    )


def _highest(compared: list[Row]) -> str:
    return f"the highest of {len(compared)} robust backbones; " if len(compared) > 1 else ""


def _others(row: Row, differences: dict[str, Difference]) -> str:
    """Which other backbones were shown to be above or below."""
    above = [d for d in differences.values() if d.together.low > 0]
    below = [d for d in differences.values() if d.together.high < 0]
    out = ""
    for words, clear in (("also above", above), ("below", below)):
        if labels := [d.row.eps_label for d in clear if d.row is not row]:
            out += f"; {words} the standard one: {', '.join(labels)}"
    return out


def _caution(row: Row, task: str) -> str:
    """What the seeds say beside the images."""
    delta = row.delta(task)
    assert delta is not None
    if delta.n == 1:
        return "; one seed only, and another could turn it"
    if delta.low <= 0 <= delta.high:
        return (
            f"; between single seeds it runs from {signed(delta.low)} to {signed(delta.high)}, so"
            " another seed could turn it"
        )
    return ""


def _no_interval(row: Row, task: str, study: TaskStudy | None, asked: bool) -> str:
    if not has_objects(task) or not scored_by_coco(row.first):
        return "no interval can be computed, --significance is for COCO's AP"
    if not asked and (study is None or not study.figures):
        return "no interval was computed, add --significance"
    if study is None or study.overall(row) is None:
        return "no interval was computed, see the notes"
    return "too many resamples lack a class, so there is no interval"


def _lower(name: str) -> str:
    """``box AP`` of ``Box AP``; the names of records as they are."""
    known = {"Box", "Mask", "Panoptic", "Semantic"}
    first, _, rest = name.partition(" ")
    return f"{first.lower()} {rest}" if first in known else name
