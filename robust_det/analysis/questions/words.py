"""Sentences and cells of tables that several questions share."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

from robust_det.analysis.grouping import Setting
from robust_det.analysis.questions.answer import Sheet
from robust_det.analysis.questions.cells import Cell
from robust_det.analysis.questions.evidence import Evidence
from robust_det.analysis.questions.gains import Gains
from robust_det.analysis.questions.missing import missing_runs
from robust_det.analysis.tables import differences_in_brief, signed
from robust_det.analysis.transfer.cells import p_cell
from robust_det.analysis.transfer.published import (
    HOW_TO_READ_PUBLISHED,
    published_block,
    published_csv,
    published_of,
)
from robust_det.core.errors import UserError, counted
from robust_det.reference.salman2020 import SOURCE

__all__ = [
    "REPORTED_BASIS",
    "REPORTED_MARKS",
    "basis",
    "chance_of_highest",
    "cited",
    "need",
    "notes_of",
    "of_families",
    "others",
    "published_sheets",
    "sure",
    "winners",
]

REPORTED_MARKS = "reported figures: one pretraining run each, so no bars"
REPORTED_BASIS = (
    f"From accuracies {SOURCE}, of Salman et al. 2020: one pretraining run an ε and architecture,"
    " learning rate and epoch chosen on the test images. Nothing says how far another pretraining"
    " run would move them, so that there are no intervals, and counts are counts of these figures."
)


def basis(evidence: Evidence, cells: Sequence[Cell]) -> str:
    """Return from how many runs an answer is."""
    origins = {unit.origin for cell in cells for arm in cell.arms for unit in arm.units}
    least = min((len(arm.units) for cell in cells for arm in cell.arms), default=0)
    most = max((len(arm.units) for cell in cells for arm in cell.arms), default=0)
    each = str(least) if least == most else f"{least} to {most}"
    pairs = any(unit.pretraining for cell in cells for arm in cell.arms for unit in arm.units)
    seeds = (
        "Which of their seeds pair is told by records of pretraining."
        if pairs
        else "No record of their pretraining is among these, so that seeds are not paired."
    )
    runs = sum(cell.runs for cell in cells)
    alone = (
        " One pretraining run of an ε says nothing about another one: there is no interval."
        if least == 1
        else ""
    )
    return (
        f"From {counted(runs, 'fine-tuned run')} (of {counted(evidence.number, 'record')}) of"
        f" {counted(len(origins), 'pretraining run')}, {each} an ε. {seeds}{alone}"
    )


def need(cells: Sequence[Cell], what: str, evidence: Evidence, commands: Sequence[str]) -> None:
    """Refuse a question without a standard and a robust backbone to compare.

    Args:
        cells: of the question.
        what: the runs that it needs, in words.
        evidence: the records.
        commands: that make such runs, where no record tells how.
    """
    if any(cell.standard is not None and cell.robust for cell in cells):
        return
    lines = [line for one in missing_runs(cells, evidence) for line in one.commands]
    raise UserError(
        f"{what} are missing: of {counted(evidence.number, 'record')} none compares a standard and"
        f" a robust backbone there{others(evidence)}",
        f"make them, as by: {' ; '.join((lines or commands)[:4])}",
    )


def others(evidence: Evidence) -> str:
    """Say, where a question cannot be answered, that there are records which may not count."""
    refused = evidence.causes and f"{evidence.causes}, which robust-det records check names"
    out = "; ".join(filter(None, (refused, evidence.aside)))
    return f"; left out are {out}" if out else ""


def notes_of(evidence: Evidence, cells: Sequence[Cell]) -> list[str]:
    """Return what is to be known of the settings that cells are of, and how those of detectors
    differ that have one test set; notes on rows of comparison are of its means and not of ours."""
    names = {cell.setting for cell in cells}
    settings = [one for one in evidence.settings if one.name in names]
    notes = [f"{one.name}: {note}" for one in settings for note in one.notes]
    firsts: dict[str, Setting] = {}
    for own in evidence.detectors:
        if own.letter not in names:
            continue
        notes += [f"{own.letter}: {note}" for note in own.remarks]
        first = firsts.setdefault(own.test_data, own)
        if first is not own:
            notes.append(f"{differences_in_brief(first, own)}.")
    return notes


def published_sheets(name: str, evidence: Evidence, modes: Sequence[str] = ()) -> list[Sheet]:
    """Return ours beside what was reported of the same, if anything was.

    Args:
        name: of the question.
        evidence: whose transfers.
        modes: of these; none is any.
    """
    settings = [one for one in evidence.settings if not modes or one.conditions.mode in modes]
    published = published_of(settings)
    if not published:
        return []
    block = published_block(published)
    block = replace(block, notes=(*block.notes, HOW_TO_READ_PUBLISHED))
    return [Sheet(f"{name}_beside_reported", block, published_csv(published))]


def of_families(gains: Sequence[Gains]) -> dict[str, list[Gains]]:
    """Return gains by what is corrected together."""
    out: dict[str, list[Gains]] = {}
    for one in gains:
        out.setdefault(one.cell.family, []).append(one)
    return out


def winners(cells: Sequence[Cell]) -> tuple[int, int, int]:
    """Count the cells whose highest robust mean is above the standard one.

    Returns:
        How many cells there are, in how many it is above, and in how many by more than a point.
    """
    gaps = [
        max(arm.figure.mean for arm in cell.robust) - cell.standard.figure.mean
        for cell in cells
        if cell.standard is not None and cell.robust
    ]
    # two digits of a reported figure leave 1e-14 behind
    return len(gaps), sum(gap > 1e-9 for gap in gaps), sum(gap > 1 + 1e-9 for gap in gaps)


def chance_of_highest(cells: Sequence[Cell]) -> float:
    """Return in how many cells, on average, the highest of identical backbones would be robust.

    Of k + 1 that differ by luck alone, the standard one is the highest in one of k + 1.
    """
    return math.fsum(
        len(cell.robust) / (len(cell.robust) + 1)
        for cell in cells
        if cell.standard is not None and cell.robust
    )


def cited(cells: Sequence[Cell]) -> str:
    """Say what the highest of several eps on test images is worth."""
    number, above, by_a_point = winners(cells)
    expected = chance_of_highest(cells)
    most = max(len(cell.robust) for cell in cells if cell.standard is not None)
    return (
        f"The highest robust ε is above the standard backbone in {above} of {number}, by more than"
        f" a point in {by_a_point}. The count alone is no evidence that robust backbones are"
        f" better: the ε was picked on the test images, and of {most + 1} identical backbones that"
        f" differ by luck alone, one of the {most} robust ones is the highest in {most} of"
        f" {most + 1}, here in {expected:.1f} of {number}."
    )


def sure(value: float, low: float, high: float, p: float) -> str:
    """``+2.1 [+0.3, +3.9] (p 0.012)``, as far as it is known."""
    ends = "" if math.isnan(low) else f" [{signed(low)}, {signed(high)}]"
    tested = "" if math.isnan(p) else f" (p {p_cell(p)})"
    return f"{signed(value)}{ends}{tested}"
