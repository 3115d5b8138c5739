"""Is a robust backbone better than the standard one? Asked of one mode after the other."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

from robust_det.analysis.estimates import LEVEL
from robust_det.analysis.questions.answer import Answer, Picture, Sheet
from robust_det.analysis.questions.cells import Cell, mean_cell
from robust_det.analysis.questions.collecting import cells_of, reported_cells
from robust_det.analysis.questions.drawings import Forest, ForestRow, arch_label, eps_curves
from robust_det.analysis.questions.evidence import Evidence
from robust_det.analysis.questions.gains import HOW_TO_READ_GAINS, Gain, Gains, gains_of
from robust_det.analysis.questions.missing import missing_runs
from robust_det.analysis.questions.words import (
    REPORTED_BASIS,
    REPORTED_MARKS,
    basis,
    cited,
    need,
    notes_of,
    of_families,
    published_sheets,
    sure,
)
from robust_det.analysis.tables import csv_of, signed
from robust_det.analysis.transfer.blocks import Block
from robust_det.analysis.transfer.cells import NONE, difference_cell, figure_cell
from robust_det.core.epsilon import norm_label
from robust_det.core.errors import counted

__all__ = ["gain_of_reported", "gain_of_runs"]

_CLASSIC = ("resnet18", "resnet50", "wide_resnet50_2")  # which were reported at every eps
_CIFAR = ("cifar10", "cifar100")
_LARGE = 3.0  # eps


def gain_of_runs(
    name: str, question: str, mode: str, evidence: Evidence, commands: Sequence[str]
) -> Answer:
    """Answer from records.

    Args:
        name, question: of the answer.
        mode: whose cells count.
        evidence: the records.
        commands: that make such runs.

    Raises:
        UserError: no standard and robust backbone can be compared.
    """
    cells = cells_of(evidence, mode)
    need(cells, f"{mode} runs from a standard and a robust backbone", evidence, commands)
    families: dict[str, list[Cell]] = {}
    for cell in cells:
        families.setdefault(cell.family, []).append(cell)
    # each subject, and their mean, which is a question of its own
    gains = gains_of(cells)
    means = gains_of(
        [
            replace(mean, how=f"{mean.how}, mean of sets")
            for alike in families.values()
            if alike[0].set and (mean := mean_cell(alike)) is not None
        ]
    )
    findings = [
        sentence
        for alike in of_families(gains).values()
        for sentence in _findings(alike, _of_family(alike, means))
    ]
    compared = [one.cell for one in gains]
    findings.append(cited(compared))
    sheets = [_sheet(name, [*gains, *means]), *published_sheets(name, evidence, (mode,))]
    notes = notes_of(evidence, compared)
    labels = [f"{cell.how}, {arch_label(cell)}" for cell in compared]
    curves = eps_curves(f"{name}_curves", "Accuracy and AP by ε", compared, labels)
    return Answer(
        name,
        question,
        basis(evidence, cells),
        findings,
        sheets,
        [one for one in (_forest(name, gains, means), curves) if one is not None],
        HOW_TO_READ_GAINS,
        [*evidence.left_out, *notes],
        missing_runs(cells, evidence),
    )


def _of_family(gains: Sequence[Gains], means: Sequence[Gains]) -> Gains | None:
    """Return the mean over the sets of a family, if there is one."""
    cell = gains[0].cell
    alike = (f"{cell.how}, mean of sets", cell.arch, cell.norm)
    return next((o for o in means if (o.cell.how, o.cell.arch, o.cell.norm) == alike), None)


def _findings(gains: Sequence[Gains], mean: Gains | None) -> Iterator[str]:
    family = gains[0].cell.family
    fixed = [(one, gain) for one in gains for gain in one.fixed]
    yield f"{_verdict(fixed)} ({family}){_spread(fixed)}."
    yield from _of_these(fixed)
    if mean is not None:
        each = "; ".join(f"{gain.arm.label} {_told(gain)}" for gain in mean.fixed)
        yield f"Mean over the sets ({family}), to the standard backbone: {each}."
    yield _of_choice(gains, family)


def _verdict(fixed: Sequence[tuple[Gains, Gain]]) -> str:
    above = [pair for pair in fixed if pair[1].shown > 0]
    below = [pair for pair in fixed if pair[1].shown < 0]
    number = counted(len(fixed), "difference")
    if above:
        where = "; ".join(
            f"{one.cell.name} at {gain.arm.label}, {_told(gain)}" for one, gain in above[:4]
        )
        rest = f"; below it in {len(below)}" if below else ""
        return (
            "Yes, on this data: a robust backbone is above the standard one at a fixed ε in"
            f" {len(above)} of {number}: {where}{', ...' if len(above) > 4 else ''}{rest}"
        )
    if below:
        where = "; ".join(
            f"{one.cell.name} at {gain.arm.label}, {_told(gain)}" for one, gain in below[:4]
        )
        return (
            f"No, on this data: of {number} at a fixed ε none is shown to be above 0 and"
            f" {len(below)} below: {where}{', ...' if len(below) > 4 else ''}"
        )
    if all(math.isnan(gain.difference.p) for _, gain in fixed):
        return "Not known: whether a robust backbone is above the standard one at any fixed ε"
    return "Not shown: that a robust backbone is above or below the standard one at any fixed ε"


def _told(gain: Gain) -> str:
    found = gain.difference
    return sure(found.value, found.low, found.high, found.p)


def _spread(fixed: Sequence[tuple[Gains, Gain]]) -> str:
    values = [gain.difference.value for _, gain in fixed]
    low, high = signed(min(values)), signed(max(values))
    span = low if len(values) == 1 else f"{low} to {high}"
    tested = sum(not math.isnan(gain.difference.p) for _, gain in fixed)
    why = "" if tested else ", of 1 pretraining run of an ε each"
    if tested and tested < len(values):
        why = f", {tested} of them with an interval"
    return f"; {counted(len(values), 'difference')} of {span} points{why}"


def _of_these(fixed: Sequence[tuple[Gains, Gain]]) -> Iterator[str]:
    """Say what the seeds of fine-tuning show of two backbones, where there are no others."""
    known = [
        (one, gain)
        for one, gain in fixed
        if gain.of_these is not None and not math.isnan(gain.of_these.low)
    ]
    if known:
        each = "; ".join(
            f"{one.cell.name}, {gain.arm.label} {difference_cell(gain.of_these, mark=False)}"
            for one, gain in known
            if gain.of_these is not None
        )
        yield (
            "Of the backbones at hand alone, over fine-tuning seeds and without a correction for"
            f" looking at {len(known)}: {each}. Another pretraining run could turn it."
        )


def _of_choice(gains: Sequence[Gains], family: str) -> str:
    chosen = [one for one in gains if one.chosen.by]
    if not chosen:
        return (
            f"Not known: what the best ε gains ({family}). With 1 pretraining run of an ε, and"
            " nothing chosen on validation images, it could be picked on the test images alone,"
            " which would make chance look like a gain."
        )
    by = ", ".join(dict.fromkeys(one.chosen.by for one in chosen))
    above = [one for one in chosen if one.chosen.difference.p < LEVEL and _value(one) > 0]
    below = [one for one in chosen if one.chosen.difference.p < LEVEL and _value(one) < 0]
    each = "; ".join(
        f"{one.cell.name}, {one.chosen.label}: {difference_cell(one.chosen.difference)}"
        for one in chosen
    )
    known = any(not math.isnan(one.chosen.difference.p) for one in chosen)
    if above:
        answer = f"Yes, on this data: the best ε, chosen ({by}), is above on {len(above)}"
    elif below:
        answer = f"No, on this data: the best ε, chosen ({by}), is below on {len(below)}"
    elif known:
        answer = f"Not shown: that the best ε, chosen ({by}), is above on any"
    else:
        answer = f"Not known: whether the best ε, chosen ({by}), is above on any"
    return f"{answer} of {len(chosen)} ({family}): {each}."


def _value(one: Gains) -> float:
    return one.chosen.difference.value


def _sheet(name: str, gains: Sequence[Gains]) -> Sheet:
    labels = list(dict.fromkeys(gain.arm.label for one in gains for gain in one.fixed))
    rows = []
    for one in gains:
        cell = one.cell
        assert cell.standard is not None  # gains are to it
        found = {gain.arm.label: gain.difference for gain in one.fixed}
        runs = sorted({len(arm.units) for arm in cell.arms})
        rows.append(
            [
                cell.name,
                cell.how,
                arch_label(cell),
                cell.metric,
                figure_cell(cell.standard.figure),
                *(difference_cell(found.get(label)) for label in labels),
                one.chosen.label or NONE,
                difference_cell(one.chosen.difference),
                " to ".join(map(str, dict.fromkeys((runs[0], runs[-1])))),
            ]
        )
    headers = ["subject", "setting", "backbones", "metric", "standard"]
    headers += [*(f"Δ {label}" for label in labels), "chosen ε", "Δ chosen", "pretraining runs"]
    block = Block("Differences to the standard backbone", headers, rows, 4)
    return Sheet(name, block, csv_of(_COLUMNS, _lines(gains)))


_COLUMNS = [
    "subject",
    "setting",
    "how",
    "arch",
    "norm",
    "metric",
    "eps",
    "choice",
    "mean",
    "standard_mean",
    "difference",
    "low",
    "high",
    "p",
    "paired",
    "pretraining_runs",
    "standard_runs",
    "fine_tuned_runs",
]


def _lines(gains: Sequence[Gains]) -> Iterator[list[Any]]:
    for one in gains:
        cell, standard = one.cell, one.cell.standard
        assert standard is not None
        start = [cell.subject, cell.setting, cell.how, cell.arch, norm_label(cell.norm)]
        for gain in one.fixed:
            arm, found = gain.arm, gain.difference
            yield [
                *(*start, cell.metric, arm.eps, "", arm.figure.mean, standard.figure.mean),
                *(found.value, found.low, found.high, found.p, int(gain.paired)),
                *(len(arm.units), len(standard.units)),
                sum(len(unit.values) for unit in arm.units),
            ]
        found, chosen = one.chosen.difference, one.chosen
        if chosen.by:
            yield [
                *(*start, cell.metric, chosen.label, chosen.by, "", standard.figure.mean),
                *(found.value, found.low, found.high, found.p, "", "", len(standard.units), ""),
            ]


def _forest(name: str, gains: Sequence[Gains], means: Sequence[Gains]) -> Picture | None:
    groups = []
    for one in [*gains, *means]:
        rows = [
            ForestRow(gain.arm.label, found.value, found.low, found.high, 0, found.p < LEVEL)
            for gain in one.fixed
            for found in [gain.difference]
        ]
        found = one.chosen.difference
        if not math.isnan(found.value):
            label = f"chosen: {one.chosen.label}"
            rows.append(
                ForestRow(label, found.value, found.low, found.high, 1, found.p < LEVEL),
            )
        own = one.cell
        mean = f"{own.name}, {own.how.removesuffix(', mean of sets')}"
        groups.append((mean if one in means else f"{own.name}, {arch_label(own)}", tuple(rows)))
    if not groups:
        return None
    return Forest(
        f"{name}_differences",
        "Robust backbones less the standard one",
        "difference in points",
        ("fixed ε", "ε chosen without these figures"),
        tuple(groups),
        "bars: 95% over pretraining runs, cut at the axis\nfilled: p below 5%, of the table",
    )


def gain_of_reported(name: str, question: str, mode: str) -> Answer:
    """Answer from the reported figures.

    Args:
        name, question: of the answer.
        mode: ``fixed-feature`` or ``full-network``.
    """
    cells = [cell for cell in reported_cells(mode, 0, _CLASSIC) if cell.norm == "l2"]
    small = [c for c in reported_cells(mode, 32, _CLASSIC[:2]) if c.norm == "l2"]
    others = [cell for cell in cells if cell.set not in _CIFAR]
    average, number = _average(others)
    findings = [
        f"{_ARCHS}, twelve sets at their own size: {cited(cells)}",
        f"Images shrunk to 32 px, ResNet-18 and ResNet-50: {cited(small)}",
        f"At a fixed ε nothing was picked. ε 3 less ε 0 on the ten sets that are not CIFAR, mean of"
        f" {number} cells: {signed(average)} points; on CIFAR-10 and CIFAR-100"
        f" {signed(_average([c for c in cells if c.set in _CIFAR])[0])}. How sure that is cannot be"
        " told from one pretraining run each.",
        "Not shown: that a robust backbone is better at an ε chosen without the test images; the"
        " tables have no validation accuracy and no second pretraining run to choose by.",
    ]
    return Answer(
        name,
        question,
        REPORTED_BASIS,
        findings,
        [_reported_sheet(name, [*cells, *small]), _by_eps_sheet(name, cells, small)],
        [
            plot
            for plot in (
                eps_curves(
                    f"{name}_reported",
                    f"Reported accuracy, {mode}",
                    cells,
                    [arch_label(cell) for cell in cells],
                    REPORTED_MARKS,
                ),
            )
            if plot is not None
        ],
    )


_ARCHS = "ResNet-18, ResNet-50 and WRN-50-2"


def _average(cells: Sequence[Cell]) -> tuple[float, int]:
    """Return the mean of eps 3 less eps 0, and over how many cells it is."""
    gaps = [_gap(cell, _LARGE) for cell in cells]
    defined = [gap for gap in gaps if not math.isnan(gap)]
    return math.fsum(defined) / len(defined), len(defined)


def _gap(cell: Cell, eps: float) -> float:
    arm, standard = cell.arm(eps), cell.standard
    return arm.figure.mean - standard.figure.mean if arm and standard else math.nan


def _reported_sheet(name: str, cells: Sequence[Cell]) -> Sheet:
    rows, lines = [], []
    for cell in cells:
        standard = cell.standard
        assert standard is not None  # each reported cell has one
        best = max(cell.robust, key=lambda arm: arm.figure.mean)
        gap = best.figure.mean - standard.figure.mean
        start = [cell.subject, cell.how, arch_label(cell), cell.metric]
        numbers = [f"{standard.figure.mean:.2f}", f"{best.figure.mean:.2f}", best.label]
        rows.append([*start, *numbers, signed(gap), signed(_gap(cell, _LARGE))])
        lines += [
            [cell.set, cell.how, cell.arch, norm_label(cell.norm), cell.metric, arm.eps]
            + [arm.figure.mean, arm.figure.mean - standard.figure.mean]
            for arm in cell.arms
        ]
    headers = ["set", "setting", "backbones", "metric", "standard", "highest", "at"]
    block = Block(
        "Reported: the highest of the robust ε on the test images",
        [*headers, "Δ highest", "Δ ε 3"],
        rows,
        4,
    )
    head = ["set", "how", "arch", "norm", "metric", "eps", "accuracy", "less_standard"]
    return Sheet(f"{name}_reported", block, csv_of(head, lines))


def _by_eps_sheet(name: str, cells: Sequence[Cell], small: Sequence[Cell]) -> Sheet:
    """Return at each fixed eps in how many cells it is above, and by how much on average."""
    rows, lines = [], []
    for how, own in (("own size", cells), ("32 px", small)):
        for eps in dict.fromkeys(arm.eps for cell in own for arm in cell.robust):
            gaps = [gap for cell in own if not math.isnan(gap := _gap(cell, eps))]
            above, mean = sum(gap > 0 for gap in gaps), math.fsum(gaps) / len(gaps)
            rows.append([how, f"{eps:g}", f"{above} of {len(gaps)}", signed(mean)])
            lines.append([how, eps, above, len(gaps), mean])
    headers = ["images", "ε", "above the standard one", "mean difference"]
    block = Block("Reported: each fixed ε", headers, rows, 1)
    head = ["images", "eps", "above", "of", "mean_difference"]
    return Sheet(f"{name}_reported_by_eps", block, csv_of(head, lines))
