"""Do wider networks gain, standard and robust? (Salman et al. 2020, section 4.1)"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

from robust_det.analysis.curves import Plot
from robust_det.analysis.estimates import LEVEL, Difference, holm, welch
from robust_det.analysis.questions.answer import Answer, Sheet
from robust_det.analysis.questions.cells import Arm, Cell
from robust_det.analysis.questions.collecting import MODES, cells_of, reported_cells
from robust_det.analysis.questions.drawings import number_curves
from robust_det.analysis.questions.evidence import Evidence
from robust_det.analysis.questions.missing import missing_runs
from robust_det.analysis.questions.words import (
    REPORTED_BASIS,
    REPORTED_MARKS,
    basis,
    notes_of,
    others,
    published_sheets,
    sure,
)
from robust_det.analysis.tables import csv_of, signed
from robust_det.analysis.transfer.blocks import Block
from robust_det.analysis.transfer.cells import difference_cell, figure_cell
from robust_det.core.epsilon import norm_label
from robust_det.core.errors import UserError, counted

__all__ = ["ASKS", "NAME", "WIDTHS", "of_reported", "of_runs"]

NAME = "width"
ASKS = "Do wider networks transfer better, and do they at each ε?"
# the same network but for the width of its 3x3 convolutions: its name, and how many times as wide
WIDTHS: Mapping[str, tuple[str, float]] = {
    "resnet50": ("ResNet-50", 1),
    "wide_resnet50_2": ("ResNet-50", 2),
    "wide_resnet50_4": ("ResNet-50", 4),
}
_COMMANDS = (
    "robust-det sweep --output output/transfer --run 'transfer --config transfer_dtd.yaml"
    " --backbone {resnet50,wide_resnet50_2,wide_resnet50_4}_l2_eps{0,1,3} --mode full-network'"
)
_HOW_TO_READ = (
    "Wider less narrower at the same ε, by Welch's (1947) intervals over pretraining runs, unpaired"
    " as networks of two widths share no weights; p holds for all of the table at once (Holm 1979)."
)


@dataclass(frozen=True)
class _Step:
    """A wider network less a narrower one.

    Attributes:
        narrow, wide: their cells, of one setting.
        arms: of the same eps.
        difference: p is corrected over all steps.
    """

    narrow: Cell
    wide: Cell
    arms: tuple[Arm, Arm]
    difference: Difference


def of_runs(evidence: Evidence) -> Answer:
    """Answer from records.

    Raises:
        UserError: no two widths of one network can be compared.
    """
    cells = [cell for cell in cells_of(evidence) if cell.arch in WIDTHS]
    steps = list(_steps(cells))
    if not steps:
        raise UserError(
            "runs of networks of two widths are missing: none of"
            f" {counted(evidence.number, 'record')} has"
            f" {', '.join(WIDTHS)} of two widths in one setting at one eps{others(evidence)}",
            f"make them, as by: {_COMMANDS}",
        )
    used = [cell for cell in cells if any(cell in (one.narrow, one.wide) for one in steps)]
    return Answer(
        NAME,
        ASKS,
        basis(evidence, used),
        _findings(steps),
        [_sheet(NAME, steps), *published_sheets(NAME, evidence)],
        [_plot("width", "Accuracy and AP by width", used, "bars: 95% t interval")],
        [_HOW_TO_READ],
        [*evidence.left_out, *notes_of(evidence, used)],
        missing_runs(used, evidence),
    )


def _steps(cells: Sequence[Cell]) -> Iterator[_Step]:
    """Return the steps from each width to the next one, corrected over all."""
    raw = []
    grouped: dict[tuple[str, ...], list[Cell]] = {}
    for cell in cells:
        key = (cell.subject, cell.setting, cell.how, WIDTHS[cell.arch][0], cell.norm)
        grouped.setdefault(key, []).append(cell)
    for alike in grouped.values():
        ordered = sorted(alike, key=lambda cell: WIDTHS[cell.arch][1])
        for narrow, wide in pairwise(ordered):
            for arm in narrow.arms:
                other = wide.arm(arm.eps)
                if other is not None:
                    gap = welch(other.figure, arm.figure)
                    raw.append(_Step(narrow, wide, (arm, other), gap))
    corrected = holm({place: one.difference.p for place, one in enumerate(raw)})
    for place, one in enumerate(raw):
        yield replace(one, difference=replace(one.difference, p=corrected[place]))


def _findings(steps: Sequence[_Step]) -> list[str]:
    out = []
    for label in dict.fromkeys(one.arms[0].label for one in steps):
        own = [one for one in steps if one.arms[0].label == label]
        above = [one for one in own if one.difference.p < LEVEL and one.difference.value > 0]
        below = [one for one in own if one.difference.p < LEVEL and one.difference.value < 0]
        values = [one.difference.value for one in own]
        each = "; ".join(
            f"{one.narrow.name}, {one.wide.arch} less {one.narrow.arch}"
            f" {sure(found.value, found.low, found.high, found.p)}"
            for one in (above or below)[:3]
            for found in [one.difference]
        )
        span = f"{counted(len(own), 'step')} of {signed(min(values))} to {signed(max(values))}"
        if above:
            answer = f"Yes, on this data: wider is better in {len(above)} of {span}: {each}"
        elif below:
            answer = f"No, on this data: wider is worse in {len(below)} of {span}: {each}"
        elif all(math.isnan(one.difference.p) for one in own):
            answer = f"Not known: whether wider is better; {span}, of one pretraining run each"
        else:
            answer = f"Not shown: that wider is better or worse; {span}"
        out.append(f"{answer} ({label}).")
    return out


def _sheet(name: str, steps: Sequence[_Step]) -> Sheet:
    rows, lines = [], []
    for one in steps:
        cell, found = one.narrow, one.difference
        narrow, wide = one.arms
        start = [cell.name, cell.how, narrow.label, cell.arch, figure_cell(narrow.figure)]
        rows.append([*start, one.wide.arch, figure_cell(wide.figure), difference_cell(found)])
        lines.append(
            [cell.subject, cell.setting, cell.how, cell.metric, norm_label(cell.norm), narrow.eps]
            + [cell.arch, narrow.figure.mean, narrow.figure.n, one.wide.arch, wide.figure.mean]
            + [wide.figure.n, found.value, found.low, found.high, found.p]
        )
    headers = ["subject", "setting", "ε", "narrower", "its figure", "wider", "its figure", "Δ"]
    head = ["subject", "setting", "how", "metric", "norm", "eps", "narrower", "narrower_mean"]
    head += ["narrower_runs", "wider", "wider_mean", "wider_runs", "difference", "low", "high", "p"]
    block = Block("Wider less narrower, at the same ε", headers, rows, 4)
    return Sheet(name, block, csv_of(head, lines))


def _plot(name: str, title: str, cells: Sequence[Cell], marks: str) -> Plot:
    panels = []
    # by name, which tells the settings of one subject apart
    for subject, how in dict.fromkeys((cell.name, cell.how) for cell in cells):
        own = [cell for cell in cells if (cell.name, cell.how) == (subject, how)]
        labels = dict.fromkeys(arm.label for cell in own for arm in cell.arms)
        curves = []
        for label in labels:
            points = [
                (WIDTHS[cell.arch][1], arm.figure)
                for cell in sorted(own, key=lambda cell: WIDTHS[cell.arch][1])
                for arm in cell.arms
                if arm.label == label
            ]
            if len(points) > 1:
                curves.append((label, points))
        if curves:
            panels.append(("\n".join(filter(None, (subject, how))), own[0].metric, curves))
    return number_curves(name, title, "times as wide", panels, marks)


def of_reported() -> Answer:
    """Answer from the reported figures of ResNet-50, WRN-50-2 and WRN-50-4."""
    archs = [arch for arch, (family, _) in WIDTHS.items() if family == "ResNet-50"]
    cells = [cell for cell in reported_cells(downscale=0, archs=archs) if cell.norm == "l2"]
    shared = (0.0, 1.0, 3.0)  # that WRN-50-4 has, too
    cells = [
        replace(cell, arms=tuple(arm for arm in cell.arms if arm.eps in shared)) for cell in cells
    ]
    steps = list(_steps(cells))
    findings = []
    for mode in MODES:
        for eps in shared:
            parts = []
            for wide, narrow in (("wide_resnet50_2", "resnet50"), (archs[2], archs[1])):
                values = [
                    one.difference.value
                    for one in steps
                    if one.wide.mode == mode and one.wide.arch == wide and one.arms[0].eps == eps
                ]
                up = sum(value > 0 for value in values)
                mean = math.fsum(values) / len(values)
                parts.append(
                    f"{wide} is above {narrow} on {up} of {len(values)} sets, {signed(mean)} on"
                    " average"
                )
            findings.append(f"{mode}, ε {eps:g}: {'; '.join(parts)}.")
    findings.append(
        "Not known: how sure any of it is, with one pretraining run of each width and ε."
    )
    plots = [
        _plot(
            f"width_reported_{mode}",
            f"Reported accuracy by width, {mode}",
            [replace(cell, how="") for cell in cells if cell.mode == mode],
            REPORTED_MARKS,
        )
        for mode in MODES
    ]
    return Answer(NAME, ASKS, REPORTED_BASIS, findings, [_sheet("width_reported", steps)], plots)
