"""Which eps is the best, and does it differ by subject? (Salman et al. 2020, section 4.2)"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from itertools import combinations
from typing import Any

from robust_det.analysis.questions.answer import Answer, Sheet
from robust_det.analysis.questions.cells import Arm, Cell
from robust_det.analysis.questions.collecting import MODES, cells_of, reported_cells
from robust_det.analysis.questions.drawings import arch_label, eps_curves
from robust_det.analysis.questions.evidence import Evidence
from robust_det.analysis.questions.gains import best_set
from robust_det.analysis.questions.missing import missing_runs
from robust_det.analysis.questions.words import (
    REPORTED_BASIS,
    REPORTED_MARKS,
    basis,
    need,
    notes_of,
    published_sheets,
)
from robust_det.analysis.tables import csv_of
from robust_det.analysis.transfer.blocks import Block
from robust_det.analysis.transfer.cells import figure_cell
from robust_det.core.epsilon import norm_label

__all__ = ["ASKS", "HOW_TO_READ_BEST", "NAME", "highest_sheet", "of_reported", "of_runs"]

NAME = "eps"
ASKS = "Which ε of pretraining is the best, and does it differ by what is transferred to?"
HOW_TO_READ_BEST = (
    "May be the best: the ε among which the best one is, with 95% for all subjects of a family at"
    " once. An ε is not among them where another one is above it by a one-sided test over"
    " pretraining runs (Welch 1947, or paired), at 5% divided by the numbers of the others and of"
    " subjects. The highest mean alone says little: some ε is always the highest."
)
_COMMANDS = (
    "robust-det sweep --output output/transfer --run 'transfer --config transfer_{dtd,cifar10}.yaml"
    " --backbone resnet50_l2_eps{0,0.1,0.5,1,3,5} --mode {fixed-feature,full-network} SEED {0..2}'",
)


def of_runs(evidence: Evidence) -> Answer:
    """Answer from records.

    Raises:
        UserError: no standard and robust backbone can be compared.
    """
    every = cells_of(evidence)
    need(every, "runs from backbones of several eps", evidence, _COMMANDS)
    cells = [cell for cell in every if len(cell.arms) > 1]
    by_family: dict[str, list[Cell]] = {}
    for cell in cells:
        by_family.setdefault(cell.family, []).append(cell)
    known = {id(cell): best_set(cell, len(alike)) for alike in by_family.values() for cell in alike}
    findings = [_finding(family, alike, known) for family, alike in by_family.items()]
    labels = [f"{cell.how}, {arch_label(cell)}" for cell in cells]
    plot = eps_curves("eps_curves", "Accuracy and AP by ε", cells, labels)
    return Answer(
        NAME,
        ASKS,
        basis(evidence, cells),
        findings,
        [_sheet(cells, known), *published_sheets(NAME, evidence)],
        [plot] if plot is not None else [],
        [HOW_TO_READ_BEST],
        [*evidence.left_out, *notes_of(evidence, cells)],
        missing_runs(every, evidence),
    )


_Known = dict[int, tuple[Arm, ...] | None]


def _finding(family: str, cells: Sequence[Cell], known: _Known) -> str:
    highest = "; ".join(f"{_highest(cell).label} on {cell.name}" for cell in cells)
    sets = [(cell, found) for cell in cells if (found := known[id(cell)]) is not None]
    means = f"The highest means ({family}): {highest}."
    if not sets:
        return f"Not known: which ε is the best, as not each has two pretraining runs. {means}"
    sure = [(cell, found[0]) for cell, found in sets if len(found) == 1]
    apart = [
        f"{one.name} ({_labels(first)}) and {two.name} ({_labels(second)})"
        for (one, first), (two, second) in combinations(sets, 2)
        if not {arm.eps for arm in first} & {arm.eps for arm in second}
    ]
    if apart:
        return (
            "Yes, on this data: the best ε differs, as no ε may be the best on both of"
            f" {'; '.join(apart[:3])}. {means}"
        )
    if sure:
        each = "; ".join(f"{arm.label} on {cell.name}" for cell, arm in sure)
        return f"Yes, on this data: the best ε is known on {len(sure)} of {len(cells)}: {each}."
    out = sum(len(found) < len(cell.arms) for cell, found in sets)
    what = f"on {out} of {len(cells)} some ε is out" if out else "no ε is shown not to be"
    differ = ", and so not that it differs" if len(cells) > 1 else ""
    return f"Not shown: which ε is the best{differ}; {what}. {means}"


def _highest(cell: Cell) -> Arm:
    return max(cell.arms, key=lambda arm: arm.figure.mean)


def _labels(arms: Sequence[Arm]) -> str:
    return ", ".join(arm.label for arm in arms)


def _sheet(cells: Sequence[Cell], known: _Known) -> Sheet:
    rows = []
    for cell in cells:
        best, found = _highest(cell), known[id(cell)]
        if found is None:
            may = "not known"
        elif len(found) == len(cell.arms):
            may = f"any of {len(found)}"
        else:
            may = f"{_labels(found)} ({len(found)} of {len(cell.arms)})"
        start = [cell.name, cell.how, arch_label(cell), cell.metric]
        rows.append([*start, best.label, figure_cell(best.figure), may])
    headers = ["subject", "setting", "backbones", "metric", "highest", "mean", "may be the best"]
    head = [*_HEAD, "mean", "std", "low", "high", "pretraining_runs", "highest", "may_be_best"]
    block = Block("Which ε may be the best", headers, rows, 5)
    return Sheet(NAME, block, csv_of(head, _lines(cells, known)))


_HEAD = ["subject", "setting", "how", "arch", "norm", "metric", "eps"]


def _lines(cells: Sequence[Cell], known: _Known) -> Iterator[list[Any]]:
    for cell in cells:
        found, best = known[id(cell)], _highest(cell)
        start = [cell.subject, cell.setting, cell.how, cell.arch, norm_label(cell.norm)]
        for arm in cell.arms:
            one = arm.figure
            may = "" if found is None else int(arm in found)
            yield [
                *(*start, cell.metric, arm.eps, one.mean, one.std, one.low, one.high, one.n),
                *(int(arm is best), may),
            ]


def of_reported() -> Answer:
    """Answer from the reported figures."""
    cells = [
        cell for cell in reported_cells(downscale=0) if len(cell.arms) > 2 and cell.norm == "l2"
    ]
    every = [cell for cell in cells if len(cell.arms) == 10]
    findings = []
    for mode in MODES:
        own = [cell for cell in every if cell.mode == mode]
        counts = Counter(_highest(cell).eps for cell in own)
        listed = ", ".join(f"ε {eps:g} in {number}" for eps, number in sorted(counts.items()))
        findings.append(
            f"Not known: which ε is the best, {mode}. The highest of the ten is most often not the"
            f" same: {listed} of {len(own)} cells of a set and an architecture. One figure each"
            " does not tell which of these differences are luck."
        )
    plots = [
        eps_curves(
            f"eps_reported_{mode}",
            f"Reported accuracy, {mode}",
            [cell for cell in every if cell.mode == mode],
            [arch_label(cell) for cell in every if cell.mode == mode],
            REPORTED_MARKS,
        )
        for mode in MODES
    ]
    return Answer(
        NAME,
        ASKS,
        REPORTED_BASIS,
        findings,
        [highest_sheet("eps_reported", cells)],
        [plot for plot in plots if plot is not None],
    )


def highest_sheet(name: str, cells: Sequence[Cell]) -> Sheet:
    """Return the highest eps of reported cells.

    Args:
        name: of the CSV file.
        cells: of one figure an eps.
    """
    rows, lines = [], []
    for cell in cells:
        best = _highest(cell)
        start = [cell.subject, cell.how, arch_label(cell)]
        mean = best.figure.mean
        rows.append([*start, best.label, f"{mean:.2f}", str(len(cell.arms)), str(cell.classes)])
        lines.append(
            [cell.set, cell.how, cell.arch, norm_label(cell.norm), best.eps, mean]
            + [len(cell.arms), cell.classes]
        )
    headers = ["set", "setting", "backbones", "highest", "accuracy", "of so many ε", "classes"]
    block = Block("Reported: the highest ε on the test images", headers, rows, 4)
    head = ["set", "how", "arch", "norm", "highest_eps", "accuracy", "of", "classes"]
    return Sheet(name, block, csv_of(head, lines))
