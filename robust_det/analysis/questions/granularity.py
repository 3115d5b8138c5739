"""Do coarser tasks want a larger eps? (Salman et al. 2020, section 4.2 and appendix)

Granularity is the size that images are shrunk to, and the number of classes.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

from scipy.stats import spearmanr

from robust_det.analysis.estimates import LEVEL, holm
from robust_det.analysis.questions.answer import Answer, Picture, Sheet
from robust_det.analysis.questions.cells import Arm, Cell, Unit
from robust_det.analysis.questions.collecting import MODES, cells_of, reported_cells
from robust_det.analysis.questions.drawings import Points, Scatter, arch_label, eps_curves
from robust_det.analysis.questions.eps import HOW_TO_READ_BEST, highest_sheet
from robust_det.analysis.questions.evidence import Evidence
from robust_det.analysis.questions.gains import Gains, best_set, gains_of
from robust_det.analysis.questions.missing import missing_runs, missing_shrunk
from robust_det.analysis.questions.words import (
    REPORTED_BASIS,
    REPORTED_MARKS,
    basis,
    cited,
    need,
    notes_of,
    published_sheets,
    sure,
)
from robust_det.analysis.tables import csv_of, signed
from robust_det.analysis.transfer.blocks import Block
from robust_det.analysis.transfer.cells import NONE, difference_cell, figure_cell, p_cell
from robust_det.core.epsilon import norm_label
from robust_det.core.errors import counted

__all__ = ["ASKS", "NAME", "of_reported", "of_runs"]

NAME = "granularity"
ASKS = "Do coarser images and fewer classes want a larger ε?"
_FEWEST = 4  # sets of a rank correlation: of three, the strongest has p 1/3
_LARGE = 3.0  # eps
_CLASSIC = ("resnet18", "resnet50", "wide_resnet50_2")
_COMMANDS = (
    "robust-det sweep --output output/transfer --run 'transfer --config"
    " transfer_{dtd,flowers,cifar10,pets}.yaml --backbone resnet50_l2_eps{0,1,3} TRANSFER.DOWNSCALE"
    " {0,32} SEED {0..2}'",
)
_SIDE = 32  # pixels, as in the paper
_HOW_TO_READ = (
    "What shrinking does: (robust less standard) on shrunk images, less the same on images of their"
    " own size. Each pretraining run is measured on both, so that its two figures are subtracted"
    " first. Rank correlations are Spearman's, over sets; p is two-sided and holds for all ε of a"
    " family at once (Holm 1979). Sets differ in more than their classes: a correlation does not"
    " say why."
)


@dataclass(frozen=True)
class _Rank:
    """How the gain at an eps goes with the number of classes.

    Attributes:
        how: of the family.
        eps: as of the arms.
        label: of the eps.
        points: classes and gain, one a set.
        rho, p: Spearman's; NaN of fewer than four sets or of one number of classes.
    """

    how: str
    eps: float
    label: str
    points: tuple[tuple[str, int, float], ...]
    rho: float
    p: float


def of_runs(evidence: Evidence) -> Answer:
    """Answer from records.

    Raises:
        UserError: no standard and robust backbone can be compared.
    """
    every = [cell for cell in cells_of(evidence) if cell.set]
    need(every, "transfers from a standard and a robust backbone", evidence, _COMMANDS)
    cells = [cell for cell in every if cell.standard is not None and cell.robust]
    shrinking = gains_of(list(_shrinking(cells)))
    ranks = _ranks(cells)
    labels = [f"{cell.how}, {arch_label(cell)}" for cell in cells]
    curves = eps_curves("granularity_curves", "Accuracy by ε", cells, labels)
    missing = missing_runs(every, evidence)
    if not shrinking:
        missing.insert(0, missing_shrunk(cells, evidence, _SIDE))
    return Answer(
        NAME,
        ASKS,
        basis(evidence, cells),
        [*_of_shrinking(shrinking), *_of_ranks(ranks)],
        [
            _best_sheet(cells),
            *([_shrinking_sheet(shrinking)] if shrinking else []),
            _rank_sheet("granularity_ranks", ranks),
            *published_sheets(NAME, evidence),
        ],
        [one for one in (curves, _scatter("granularity_classes", ranks)) if one is not None],
        [_HOW_TO_READ, HOW_TO_READ_BEST],
        [*evidence.left_out, *notes_of(evidence, cells)],
        missing,
    )


def _shrinking(cells: Sequence[Cell]) -> Iterator[Cell]:
    """Return cells of what shrinking images changes, a unit each run that has both figures."""
    large = [cell for cell in cells if not cell.downscale]
    for small in cells:
        if not small.downscale:
            continue
        how = small.how.replace(f", shrunk to {small.downscale} px", "")
        key = (small.subject, how, small.arch, small.norm, small.metric)
        alike = [c for c in large if (c.subject, c.how, c.arch, c.norm, c.metric) == key]
        for other in alike:
            arms = []
            for arm in small.arms:
                before = other.arm(arm.eps)
                own = {unit.origin: unit for unit in before.units} if before is not None else {}
                units = tuple(
                    Unit(
                        unit.origin,
                        (unit.value - own[unit.origin].value,),
                        math.nan,
                        unit.pretraining,
                    )
                    for unit in arm.units
                    if unit.origin in own
                )
                if units:
                    arms.append(Arm(arm.norm, arm.eps, units))
            name = f"{small.setting} less {other.setting}" if small.setting else ""
            yield replace(small, arms=tuple(arms), setting=name)


def _of_shrinking(gains: Sequence[Gains]) -> Iterator[str]:
    fixed = [(one.cell, gain) for one in gains for gain in one.fixed]
    if not fixed:
        yield (
            "Not known: whether shrunk images want a larger ε, as no set is there both shrunk"
            " (TRANSFER.DOWNSCALE 32) and of its own size."
        )
        return
    shown = [(cell, gain) for cell, gain in fixed if gain.shown]
    each = "; ".join(
        f"{cell.name}, {gain.arm.label} {sure(found.value, found.low, found.high, found.p)}"
        for cell, gain in (shown or fixed)[:6]
        for found in [gain.difference]
    )
    if any(gain.shown > 0 for _, gain in shown):
        yield f"Yes, on this data: on shrunk images robust backbones gain more: {each}."
    elif shown:
        yield f"No, on this data: on shrunk images robust backbones gain less: {each}."
    elif all(math.isnan(gain.difference.p) for _, gain in fixed):
        yield f"Not known: whether robust backbones gain more on shrunk images: {each}."
    else:
        yield f"Not shown: that robust backbones gain more on shrunk images: {each}."


def _ranks(cells: Sequence[Cell]) -> list[_Rank]:
    """Return the correlations of gains with classes, in each family at each eps."""
    grouped: dict[tuple[str, float, str], dict[tuple[str, int], list[float]]] = {}
    for cell in cells:
        for arm in cell.robust:
            assert cell.standard is not None
            gap = arm.figure.mean - cell.standard.figure.mean
            key = (f"{cell.how}, {norm_label(cell.norm)}", arm.eps, arm.label)
            by_set = grouped.setdefault(key, {})
            by_set.setdefault((cell.subject, cell.classes), []).append(gap)
    raw = []
    for (how, eps, label), by_set in grouped.items():
        # several architectures of a set are one point
        points = tuple(
            (subject, classes, math.fsum(gaps) / len(gaps))
            for (subject, classes), gaps in by_set.items()
        )
        rho = p = math.nan
        numbers, values = [x for _, x, _ in points], [y for _, _, y in points]
        if len(points) >= _FEWEST and len(set(numbers)) > 1 and len(set(values)) > 1:
            found = spearmanr(numbers, values)
            rho, p = float(found.statistic), float(found.pvalue)
        raw.append(_Rank(how, eps, label, points, rho, p))
    out = []
    for family in dict.fromkeys(one.how for one in raw):
        alike = [one for one in raw if one.how == family]
        corrected = holm({place: one.p for place, one in enumerate(alike)})
        out += [replace(one, p=corrected[place]) for place, one in enumerate(alike)]
    return out


def _of_ranks(ranks: Sequence[_Rank]) -> Iterator[str]:
    for how in dict.fromkeys(one.how for one in ranks):
        own = [one for one in ranks if one.how == how]
        known = [one for one in own if not math.isnan(one.rho)]
        if not known:
            most = max(len(one.points) for one in own)
            yield (
                f"Not known: whether the gain falls with the number of classes ({how});"
                f" {counted(most, 'set')}, and {_FEWEST} or more of different numbers are needed."
            )
            continue
        shown = [one for one in known if one.p < LEVEL]
        rhos = ", ".join(f"{one.rho:+.2f} at {one.label} (p {p_cell(one.p)})" for one in known)
        if any(one.rho < 0 for one in shown):
            answer = "Yes, on these sets: fewer classes go with a larger gain"
        elif shown:
            answer = "No, on these sets: fewer classes go with a smaller gain"
        else:
            answer = "Not shown: that the gain goes with the number of classes"
        sets = counted(max(len(one.points) for one in known), "set")
        yield f"{answer} ({how}); rank correlations over {sets}: {rhos}."


def _best_sheet(cells: Sequence[Cell]) -> Sheet:
    families = [cell.family for cell in cells]
    rows, lines = [], []
    for cell in sorted(cells, key=lambda cell: (cell.how, cell.classes)):
        found = best_set(cell, families.count(cell.family))
        best = max(cell.arms, key=lambda arm: arm.figure.mean)
        may = NONE if found is None else ", ".join(arm.label for arm in found)
        start = [cell.name, cell.how, arch_label(cell), str(cell.classes)]
        rows.append([*start, best.label, figure_cell(best.figure), may])
        lines.append(
            [cell.subject, cell.setting, cell.how, cell.arch, norm_label(cell.norm), cell.classes]
            + [cell.downscale, best.eps, best.figure.mean]
            + [" ".join(f"{arm.eps:g}" for arm in found or ())]
        )
    headers = ["set", "setting", "backbones", "classes", "highest", "mean", "may be the best"]
    head = ["set", "setting", "how", "arch", "norm", "classes", "downscale", "highest_eps", "mean"]
    block = Block("The best ε by granularity", headers, rows, 3)
    return Sheet(NAME, block, csv_of([*head, "may_be_best"], lines))


def _shrinking_sheet(gains: Sequence[Gains]) -> Sheet:
    rows, lines = [], []
    for one in gains:
        for gain in one.fixed:
            cell, found = one.cell, gain.difference
            start = [cell.name, cell.how, arch_label(cell), gain.arm.label]
            rows.append([*start, difference_cell(found), p_cell(found.p)])
            lines.append(
                [cell.subject, cell.setting, cell.how, cell.arch, norm_label(cell.norm)]
                + [gain.arm.eps, found.value, found.low, found.high, found.p, len(gain.arm.units)]
            )
    headers = ["set", "setting", "backbones", "ε", "Δ by shrinking", "p"]
    head = ["set", "settings", "how", "arch", "norm", "eps", "difference", "low", "high", "p"]
    block = Block("What shrinking the images does to the gain", headers, rows, 4)
    return Sheet("granularity_shrinking", block, csv_of([*head, "pretraining_runs"], lines))


def _rank_sheet(name: str, ranks: Sequence[_Rank]) -> Sheet:
    rows = [
        [
            one.how,
            one.label,
            str(len(one.points)),
            NONE if math.isnan(one.rho) else f"{one.rho:+.2f}",
            p_cell(one.p),
        ]
        for one in ranks
    ]
    lines = [
        [one.how, one.eps, subject, classes, gain, one.rho, one.p]
        for one in ranks
        for subject, classes, gain in one.points
    ]
    block = Block(
        "Gain and number of classes", ["setting", "ε", "sets", "rank correlation", "p"], rows, 2
    )
    head = ["how", "eps", "set", "classes", "gain", "rho", "p"]
    return Sheet(name, block, csv_of(head, lines))


def _scatter(name: str, ranks: Sequence[_Rank]) -> Picture | None:
    known = [one for one in ranks if not math.isnan(one.rho)]
    panels = []
    for how in dict.fromkeys(one.how for one in known):
        own = [one for one in known if one.how == how]
        # the largest eps, where there is most to see, and the middle one
        shown = dict.fromkeys((own[len(own) // 2], own[-1]))
        points = tuple(
            Points(
                one.label,
                tuple(float(classes) for _, classes, _ in one.points),
                tuple(gain for _, _, gain in one.points),
                tuple(subject for subject, _, _ in one.points) if one is own[-1] else (),
            )
            for one in shown
        )
        panels.append((how, "robust less standard, points", points))
    if not panels:
        return None
    return Scatter(name, "Gain by number of classes", "classes of the set", tuple(panels), True)


def of_reported() -> Answer:
    """Answer from the reported figures."""
    cells = [cell for cell in reported_cells(archs=_CLASSIC) if cell.norm == "l2"]
    whole = [cell for cell in cells if len(cell.arms) == 10]
    findings, plots = [], list[Picture]()
    for mode in MODES:
        small = [cell for cell in whole if cell.mode == mode and cell.downscale]
        own = {(c.set, c.arch): c for c in whole if c.mode == mode and not c.downscale}
        gaps = [_gap(cell) - _gap(own[cell.set, cell.arch]) for cell in small]
        findings.append(f"{mode}, images shrunk to 32 px: {cited(small)}")
        findings.append(
            f"{mode}, at a fixed ε: ε 3 less ε 0 is {signed(_mean(map(_gap, small)))} points on"
            f" shrunk images, mean of {len(small)} cells (ResNet-18, ResNet-50), and"
            f" {signed(_mean(_gap(own[c.set, c.arch]) for c in small))} at their own size: higher"
            f" by shrinking in {sum(gap > 0 for gap in gaps)} of {len(gaps)}."
        )
        shown = [*own.values(), *small]
        plot = eps_curves(
            f"granularity_reported_{mode}",
            f"Reported accuracy, {mode}",
            [cell for cell in shown if cell.arch == "resnet50"],
            [
                f"{cell.arch}, {'32 px' if cell.downscale else 'own size'}"
                for cell in shown
                if cell.arch == "resnet50"
            ],
            REPORTED_MARKS,
        )
        plots += [plot] if plot is not None else []
    ranks = _ranks([cell for cell in whole if not cell.downscale])
    scatter = _scatter("granularity_reported_classes", ranks)
    plots += [scatter] if scatter is not None else []
    return Answer(
        NAME,
        ASKS,
        REPORTED_BASIS,
        [*findings, *_of_ranks(ranks)],
        [
            _rank_sheet("granularity_reported_ranks", ranks),
            highest_sheet("granularity_reported", sorted(whole, key=lambda cell: cell.classes)),
        ],
        plots,
        [_HOW_TO_READ.partition(". ")[2].partition(". ")[2]],
    )


def _gap(cell: Cell) -> float:
    arm, standard = cell.arm(_LARGE), cell.standard
    assert arm is not None and standard is not None  # of all reported cells
    return arm.figure.mean - standard.figure.mean


def _mean(values: Iterable[float]) -> float:
    listed = list(values)
    return math.fsum(listed) / len(listed)
