"""Is it robustness, or less texture? (Salman et al. 2020, section 4.3)

ResNet-50s that Geirhos et al. 2019 trained on Stylized-ImageNet against robust ones.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from robust_det.analysis.estimates import LEVEL, Difference, holm
from robust_det.analysis.questions.answer import Answer, Missing, Sheet
from robust_det.analysis.questions.cells import Arm, Cell, Unit, difference_of
from robust_det.analysis.questions.collecting import cell_of, unit_of
from robust_det.analysis.questions.drawings import Forest, ForestRow
from robust_det.analysis.questions.evidence import Evidence
from robust_det.analysis.questions.words import basis, others, sure
from robust_det.analysis.tables import csv_of
from robust_det.analysis.texture_trained import texture_training
from robust_det.analysis.transfer.blocks import Block
from robust_det.analysis.transfer.cells import difference_cell, figure_cell
from robust_det.analysis.transfer.contests import Line
from robust_det.analysis.transfer.grouping import Setting, group_runs
from robust_det.analysis.transfer.runs import runs_of as transfers_of
from robust_det.core.errors import UserError, counted
from robust_det.zoo.published import STYLIZED

__all__ = ["ASKS", "NAME", "of_reported", "of_runs"]

NAME = "texture"
ASKS = "Do robust backbones transfer better than ones that were trained not to look at texture?"
of_reported = None  # the shipped tables have nothing of it
_COMMANDS = (
    "robust-det sweep --output output/transfer --run 'transfer --config transfer_dtd.yaml"
    f" --backbone {{{','.join(STYLIZED)},resnet50_l2_eps0,resnet50_l2_eps3}}"
    " --mode {fixed-feature,full-network} SEED {0..2}'",
)
_HOW_TO_READ = (
    "Robust, or standard, less texture-trained (on Stylized-ImageNet, Geirhos et al. 2019), of one"
    " architecture in one setting, by Welch's (1947) intervals over pretraining runs; p holds for"
    " all of the table at once (Holm 1979). Of each texture-trained network one pretraining run was"
    " published: against it there are differences, and intervals only with others of one's own."
)


@dataclass(frozen=True)
class _Gap:
    """An arm less a texture-trained one; p of the difference is corrected over all."""

    cell: Cell
    arm: Arm
    name: str
    textured: Arm
    difference: Difference


def of_runs(evidence: Evidence) -> Answer:
    """Answer from records.

    Raises:
        UserError: texture-trained backbones, or those to compare them with, are missing.
    """
    transfers = [*evidence.transfers, *evidence.textured]
    settings = group_runs(transfers_of(transfers)) if transfers else []
    gaps = _corrected([gap for setting in settings for gap in _gaps(setting, evidence)])
    if not gaps:
        raise UserError(
            "runs from texture-trained backbones beside robust ones are missing: of"
            f" {counted(len(evidence.textured), 'transfer')} from Stylized-ImageNet none stands in"
            f" a setting with another backbone of its architecture{others(evidence)}",
            f"make them, as by: {_COMMANDS[0]}",
        )
    names = dict.fromkeys(gap.name for gap in gaps)
    lacking = [name for name in STYLIZED if name not in names]
    missing = []
    if lacking:
        words = f"There is nothing of {', '.join(lacking)}:"
        missing.append(Missing(words, _COMMANDS))
    return Answer(
        NAME,
        ASKS,
        basis(evidence, list(_all_cells(gaps))),
        list(_findings(gaps)),
        [_sheet(gaps)],
        [_forest(gaps)],
        [_HOW_TO_READ],
        evidence.left_out,
        missing,
    )


def _gaps(setting: Setting, evidence: Evidence) -> Iterator[_Gap]:
    metric = setting.conditions.data.headline
    for arch in dict.fromkeys(run.record.arch for run in setting.runs):
        arms: dict[tuple[str, float], list[Unit]] = {}
        textured: dict[str, list[Unit]] = {}
        for row in setting.rows:
            for one in row.backbones:
                unit = unit_of(one, metric, evidence.origins)
                if unit is None or one.runs[0].record.arch != arch:
                    continue
                if name := texture_training(one.runs[0].record):
                    textured.setdefault(name, []).append(unit)
                elif row.eps is not None:
                    arms.setdefault((row.norm or "", row.eps), []).append(unit)
        for name, units in textured.items():
            theirs = Arm("", 0.0, tuple(units))
            for (norm, eps), own in arms.items():
                arm = Arm(norm, eps, tuple(own))
                cell = cell_of(setting, Line(arch, norm, ()), (arm,))
                yield _Gap(cell, arm, name, theirs, difference_of(arm, theirs)[0])


def _corrected(gaps: Sequence[_Gap]) -> list[_Gap]:
    p = holm({place: gap.difference.p for place, gap in enumerate(gaps)})
    return [
        replace(gap, difference=replace(gap.difference, p=p[place]))
        for place, gap in enumerate(gaps)
    ]


def _all_cells(gaps: Sequence[_Gap]) -> Iterator[Cell]:
    """Return the cells, each arm once, those of texture-trained networks among them."""
    for setting in dict.fromkeys((gap.cell.setting, gap.cell.arch) for gap in gaps):
        own = [gap for gap in gaps if (gap.cell.setting, gap.cell.arch) == setting]
        arms = {id(gap.arm): gap.arm for gap in own if gap.name == own[0].name}
        arms |= {id(gap.textured): gap.textured for gap in own}
        yield replace(own[0].cell, arms=tuple(arms.values()))


def _findings(gaps: Sequence[_Gap]) -> Iterator[str]:
    for name, label in dict.fromkeys((gap.name, gap.arm.label) for gap in gaps):
        own = [gap for gap in gaps if (gap.name, gap.arm.label) == (name, label)]
        above = [g for g in own if g.difference.p < LEVEL and g.difference.value > 0]
        below = [g for g in own if g.difference.p < LEVEL and g.difference.value < 0]
        each = "; ".join(
            f"{gap.cell.name}, {gap.cell.how} {sure(found.value, found.low, found.high, found.p)}"
            for gap in own[:6]
            for found in [gap.difference]
        )
        if above:
            answer = f"Yes, on this data: {label} is above {name} in {len(above)} of {len(own)}"
        elif below:
            answer = f"No, on this data: {label} is below {name} in {len(below)} of {len(own)}"
        elif all(math.isnan(gap.difference.p) for gap in own):
            answer = (
                f"Not known: whether {label} is above {name}, with 1 pretraining run of one or both"
            )
        else:
            answer = f"Not shown: that {label} is above or below {name}"
        yield f"{answer}: {each}{'; ...' if len(own) > 6 else ''}."


def _sheet(gaps: Sequence[_Gap]) -> Sheet:
    rows, lines = [], []
    for gap in gaps:
        cell, found = gap.cell, gap.difference
        start = [cell.name, cell.how, cell.arch, gap.arm.label, figure_cell(gap.arm.figure)]
        rows.append([*start, gap.name, figure_cell(gap.textured.figure), difference_cell(found)])
        lines.append(
            [cell.subject, cell.setting, cell.how, cell.metric, cell.arch, gap.arm.norm]
            + [gap.arm.eps, gap.arm.figure.mean, gap.arm.figure.n, gap.name]
            + [gap.textured.figure.mean, gap.textured.figure.n]
            + [found.value, found.low, found.high, found.p]
        )
    headers = ["set", "setting", "arch", "backbone", "its figure", "texture-trained", "its figure"]
    head = ["set", "setting", "how", "metric", "arch", "norm", "eps", "mean", "pretraining_runs"]
    head += ["textured", "textured_mean", "textured_runs", "difference", "low", "high", "p"]
    block = Block("Less the texture-trained backbones", [*headers, "Δ"], rows, 4)
    return Sheet(NAME, block, csv_of(head, lines))


def _forest(gaps: Sequence[_Gap]) -> Forest:
    names = list(dict.fromkeys(gap.name for gap in gaps))
    groups: dict[str, list[ForestRow]] = {}
    for gap in gaps:
        found = gap.difference
        row = ForestRow(
            gap.arm.label,
            found.value,
            found.low,
            found.high,
            names.index(gap.name),
            found.p < LEVEL,
        )
        groups.setdefault(f"{gap.cell.name}, {gap.cell.how}", []).append(row)
    return Forest(
        "texture_differences",
        "Robust and standard backbones less texture-trained ones",
        "difference in points",
        tuple(f"less {name}" for name in names),
        tuple((heading, tuple(rows)) for heading, rows in groups.items()),
        "bars: 95% intervals over pretraining runs\nfilled: p below 5%, over the table",
    )
